"""Draw the sample content and style pictures.

The pictures that accompany the project are drawn by this script, so that they
can be shipped and shown without any licence question.  Everything is computed
with NumPy and Pillow from fixed seeds: a run always gives the same pictures.

    python -m content.draw                      # draw everything
    python -m content.draw mountains swirls     # draw only some
    python -m content.draw --output_root /tmp   # write below another folder

The two landscapes are rendered in linear light from a small 3-D scene (a height
field, a software rasteriser for buildings and boats, and a mirrored camera for
the water); the three styles are painted stroke by stroke or tile by tile.
"""

import argparse
import io
import math
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

REPOSITORY_ROOT = Path(__file__).resolve().parent.parent
OVERSAMPLING = 2
MAX_FILE_BYTES = 350_000

CONTENT_SIZE = (960, 640)
STYLE_SIZE = (640, 512)


# --------------------------------------------------------------------------
# Arrays and images
# --------------------------------------------------------------------------


def smoothstep(low, high, value):
    """Return a smooth 0..1 ramp of `value` between `low` and `high`."""
    t = np.clip((value - low) / (high - low), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def mix(first, second, amount):
    """Blend linearly from `first` to `second`."""
    return first + (second - first) * amount


def rgb(hex_code):
    """Return an `rrggbb` colour as linear-light floats."""
    values = [int(hex_code[i : i + 2], 16) / 255.0 for i in (0, 2, 4)]
    return np.array(values, dtype=np.float32) ** 2.2


def resize(array, width, height, resample=Image.Resampling.BICUBIC, box=None):
    """Resize a 2-D float array."""
    image = Image.fromarray(np.asarray(array, dtype=np.float32))
    return np.asarray(image.resize((width, height), resample, box=box))


def blur(array, radius):
    """Blur a 2-D float array with three box passes (close to a Gaussian)."""
    radius = max(1, int(round(radius)))
    size = 2 * radius + 1
    for _ in range(3):
        for axis in (0, 1):
            pad = [(0, 0), (0, 0)]
            pad[axis] = (radius + 1, radius)
            total = np.cumsum(np.pad(array, pad, mode="edge"), axis=axis, dtype=np.float64)
            if axis == 0:
                array = (total[size:] - total[:-size]) / size
            else:
                array = (total[:, size:] - total[:, :-size]) / size
    return array.astype(np.float32)


def sample(texture, u, v):
    """Look up a wrapping texture at fractional columns `u` and rows `v`."""
    height, width = texture.shape[:2]
    column, row = np.floor(u), np.floor(v)
    fu, fv = (u - column).astype(np.float32), (v - row).astype(np.float32)
    c0, r0 = column.astype(np.int64) % width, row.astype(np.int64) % height
    c1, r1 = (c0 + 1) % width, (r0 + 1) % height
    if texture.ndim == 3:
        fu, fv = fu[..., None], fv[..., None]
    top = mix(texture[r0, c0], texture[r0, c1], fu)
    bottom = mix(texture[r1, c0], texture[r1, c1], fu)
    return mix(top, bottom, fv)


def tonemap(linear, exposure=1.0):
    """Compress linear light to display values with a filmic shoulder."""
    x = np.maximum(linear * exposure, 0.0)
    x = x * (2.51 * x + 0.03) / (x * (2.43 * x + 0.59) + 0.14)
    return np.clip(x, 0.0, 1.0) ** (1.0 / 2.2)


def grade(display, saturation=1.0, contrast=0.0, grain=0.0, rng=None):
    """Adjust saturation and contrast of display values and add film grain."""
    luma = display @ np.array([0.3, 0.59, 0.11], dtype=np.float32)
    display = mix(luma[..., None], display, saturation)
    display = mix(display, smoothstep(0.0, 1.0, display), contrast)
    if grain:
        noise = rng.standard_normal(display.shape[:2]).astype(np.float32)
        display = display + grain * noise[..., None]
    return np.clip(display, 0.0, 1.0)


def to_image(display):
    """Display values in [0, 1], height x width x 3, which are clipped, as an RGB picture."""
    return Image.fromarray((np.clip(display, 0, 1) * 255 + 0.5).astype(np.uint8))


def save(display, path, size):
    """Downsample display values to `size` and write a JPEG of bounded weight."""
    image = to_image(display).resize(size, Image.Resampling.LANCZOS)
    for quality in range(91, 60, -2):
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=quality, optimize=True, subsampling="4:2:0")
        if buffer.tell() <= MAX_FILE_BYTES:
            break
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(buffer.getvalue())


# --------------------------------------------------------------------------
# Noise
# --------------------------------------------------------------------------


def value_noise(rng, width, height, scale_x, scale_y=None):
    """Return smooth noise of unit variance with the given wavelengths in pixels."""
    scale_y = scale_y or scale_x
    columns, rows = width / scale_x, height / scale_y
    lattice = rng.standard_normal((math.ceil(rows) + 4, math.ceil(columns) + 4))
    left, top = 1 + rng.random(), 1 + rng.random()
    box = (left, top, left + columns, top + rows)
    noise = resize(lattice, width, height, box=box)
    return noise / 0.75


def fractal_noise(rng, width, height, scale, octaves=6, gain=0.5, stretch=1.0):
    """Sum octaves of value noise; `stretch` lengthens the features along x."""
    total = np.zeros((height, width), dtype=np.float32)
    amplitude, power = 1.0, 0.0
    for _ in range(octaves):
        total += amplitude * value_noise(rng, width, height, scale * stretch, scale)
        power += amplitude**2
        amplitude *= gain
        scale = max(scale / 2.03, 1.0)
    return total / math.sqrt(power)


def ridged_noise(rng, width, height, scale, octaves=7, gain=0.5):
    """Return 0..1 noise with sharp crests, each octave fading in the valleys."""
    total = np.zeros((height, width), dtype=np.float32)
    amplitude, limit, weight = 1.0, 0.0, 1.0
    for _ in range(octaves):
        crest = np.clip(1.0 - 0.8 * np.abs(value_noise(rng, width, height, scale)), 0, 1) ** 2
        total += amplitude * crest * weight
        limit += amplitude
        weight = np.clip(crest * 1.6, 0.0, 1.0)
        amplitude *= gain
        scale = max(scale / 2.03, 1.0)
    return total / limit


def tiling_noise(rng, size, slope, low_cut=1.0):
    """Return seamlessly tiling noise whose spectrum falls off as 1 / f**slope."""
    fy = np.fft.fftfreq(size)[:, None] * size
    fx = np.fft.rfftfreq(size)[None, :] * size
    frequency = np.hypot(fx, fy)
    frequency[0, 0] = 1.0
    gain = np.where(frequency >= low_cut, frequency**-slope, 0.0)
    gain[0, 0] = 0.0
    noise = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((size, size))) * gain, (size, size))
    return (noise / noise.std()).astype(np.float32)


# --------------------------------------------------------------------------
# Camera, height fields and light
# --------------------------------------------------------------------------


@dataclass(frozen=True)
class Camera:
    """A camera at (0, 0, eye) looking along +y, with x to the right and z up.

    The horizon row takes the place of pitch (a shifted lens), so that upright
    things stay upright.  Water lies at z = 0, and `mirrored` gives the camera
    that sees what the water reflects.
    """

    width: int
    height: int
    focal: float
    horizon: float
    eye: float

    def project(self, x, y, z):
        """Return the column and row at which a point appears."""
        column = self.width / 2 + self.focal * x / y
        row = self.horizon - self.focal * (z - self.eye) / y
        return column, row

    def mirrored(self):
        """Return the camera below the water that sees the reflections."""
        return replace(self, eye=-self.eye)

    def pixel_rays(self):
        """Return x and z slopes per unit of depth for all pixels."""
        columns = (np.arange(self.width, dtype=np.float32) + 0.5 - self.width / 2) / self.focal
        rows = (self.horizon - np.arange(self.height, dtype=np.float32) - 0.5) / self.focal
        return np.meshgrid(columns, rows)


@dataclass(frozen=True)
class HeightField:
    """Heights on a square grid of the ground plane, with what the light does there."""

    heights: np.ndarray
    left: float
    near: float
    cell: float
    shadow: np.ndarray = None
    occlusion: np.ndarray = None

    def lookup(self, layer, x, y):
        """Interpolate one of the layers at world positions."""
        rows, columns = layer.shape
        u = np.clip((x - self.left) / self.cell, 0, columns - 1.001)
        v = np.clip((y - self.near) / self.cell, 0, rows - 1.001)
        return sample(layer, u, v)

    def height(self, x, y):
        """Return the ground height at world positions."""
        return self.lookup(self.heights, x, y)

    def lit_by(self, sun):
        """Return a copy that knows its cast shadows and ambient occlusion."""
        return replace(
            self,
            shadow=cast_shadows(self.heights, self.cell, sun),
            occlusion=ambient_occlusion(self.heights, self.cell),
        )


def cast_shadows(heights, cell, sun):
    """Sweep a height field away from the sun; return 1 where it is lit.

    The sun must stand to the left.  The sweep carries the height of the
    shadow's upper edge from column to column.
    """
    sun_x, sun_y, sun_z = sun
    drift = sun_y / -sun_x
    drop = sun_z / -sun_x * cell
    rows = np.arange(heights.shape[0], dtype=np.float32)
    edge = heights[:, 0].copy()
    lit = np.ones_like(heights)
    for column in range(1, heights.shape[1]):
        edge = np.interp(rows + drift, rows, edge).astype(np.float32) - drop
        ground = heights[:, column]
        lit[:, column] = 1.0 - smoothstep(-0.2 * cell, 1.2 * cell, edge - ground)
        edge = np.maximum(edge, ground)
    return lit


def ambient_occlusion(heights, cell):
    """Darken hollows: compare each point with its surroundings at three scales."""
    open_sky = np.ones_like(heights)
    for radius in (2, 6, 18):
        depth = (blur(heights, radius) - heights) / (radius * cell)
        open_sky -= np.clip(depth * 0.9, -0.12, 0.3)
    return np.clip(open_sky, 0.25, 1.25)


def cast_height_field(camera, field_height, stretches, floor=0.0):
    """Return for every pixel the depth at which its ray meets the ground.

    Each stretch of ground is (near, far, steps).  A mirrored camera looks from
    below the water, and may see a far stretch underneath a near one.
    """
    result = np.full((camera.height, camera.width), np.inf, dtype=np.float32)
    for near, far, steps in stretches:
        found = cast_stretch(camera, field_height, near, far, steps, floor)
        result = np.where(np.isfinite(result), result, found)
    return result


def cast_stretch(camera, field_height, near, far, steps, floor):
    """Cast one stretch of a height field; rays that meet nothing get infinity.

    Along one image column the rays differ only in their slope, so the running
    maximum of the slope to the ground answers all of them at once.
    """
    depths = np.geomspace(near, far, steps).astype(np.float32)
    slope_x = (np.arange(camera.width, dtype=np.float32) + 0.5 - camera.width / 2) / camera.focal
    ground = field_height(slope_x[:, None] * depths, np.broadcast_to(depths, (camera.width, steps)))
    slopes = np.where(ground > floor, (ground - camera.eye) / depths, -1e6)
    highest = np.maximum.accumulate(slopes, axis=1)
    rays = (camera.horizon - np.arange(camera.height) - 0.5) / camera.focal
    result = np.full((camera.height, camera.width), np.inf, dtype=np.float32)
    padded = np.append(depths, np.inf)
    for column in range(camera.width):
        hit = np.searchsorted(highest[column], rays)
        valid = (hit > 0) & (hit < steps)
        after = np.clip(hit, 1, steps - 1)
        low, high = slopes[column, after - 1], slopes[column, after]
        t = np.clip((rays - low) / np.maximum(high - low, 1e-9), 0.0, 1.0)
        depth = mix(depths[after - 1], depths[after], t)
        depth = np.where(valid, depth, padded[hit])
        above = camera.eye + rays * depth >= floor - 0.0008 * depth
        result[:, column] = np.where(above, depth, np.inf)
    return result


def settle(heights, talus, rounds):
    """Crumble slopes steeper than `talus` per cell."""
    for _ in range(rounds):
        padded = np.pad(heights, 1, mode="edge")
        for rows, columns, reach in (
            (slice(0, -2), slice(1, -1), 1.0),
            (slice(2, None), slice(1, -1), 1.0),
            (slice(1, -1), slice(0, -2), 1.0),
            (slice(1, -1), slice(2, None), 1.0),
            (slice(0, -2), slice(0, -2), 1.414),
            (slice(2, None), slice(2, None), 1.414),
            (slice(0, -2), slice(2, None), 1.414),
            (slice(2, None), slice(0, -2), 1.414),
        ):
            heights = np.minimum(heights, padded[rows, columns] + talus * reach)
    return heights


def ground_normals(field_height, x, y, step):
    """Return unit normals of the ground by central differences."""
    dx = (field_height(x + step, y) - field_height(x - step, y)) / (2 * step)
    dy = (field_height(x, y + step) - field_height(x, y - step)) / (2 * step)
    normal = np.stack([-dx, -dy, np.ones_like(dx)], axis=-1)
    return normal / np.linalg.norm(normal, axis=-1, keepdims=True)


def erode(heights, rng, droplets, rounds, lifetime=48):
    """Carve gullies by letting rain run down the slopes (heights in cells).

    All droplets of a round run at once, which is inexact but quick; the rates
    are low enough for the sum over a crowded cell to stay stable.
    """
    rows, columns = heights.shape
    heights = heights.astype(np.float64)
    for _ in range(rounds):
        position = rng.random((2, droplets)) * [[columns - 3], [rows - 3]] + 1
        direction = np.zeros((2, droplets))
        speed, water, load = np.ones(droplets), np.ones(droplets), np.zeros(droplets)
        for _ in range(lifetime):
            column, row = position.astype(np.int64)
            fu, fv = position[0] - column, position[1] - row
            flat = row * columns + column
            corners = np.stack([flat, flat + 1, flat + columns, flat + columns + 1])
            weights = np.stack([(1 - fu) * (1 - fv), fu * (1 - fv), (1 - fu) * fv, fu * fv])
            z00, z10, z01, z11 = heights.ravel()[corners]
            here = z00 * weights[0] + z10 * weights[1] + z01 * weights[2] + z11 * weights[3]
            downhill = -np.stack(
                [(z10 - z00) * (1 - fv) + (z11 - z01) * fv, (z01 - z00) * (1 - fu) + (z11 - z10) * fu]
            )
            direction = 0.2 * direction + 0.8 * downhill
            direction /= np.maximum(np.hypot(*direction), 1e-6)
            position = np.clip(position + direction, 1, [[columns - 2.01], [rows - 2.01]])
            c2, r2 = position.astype(np.int64)
            gu, gv = position[0] - c2, position[1] - r2
            flat2 = r2 * columns + c2
            raveled = heights.ravel()
            there = mix(
                mix(raveled[flat2], raveled[flat2 + 1], gu),
                mix(raveled[flat2 + columns], raveled[flat2 + columns + 1], gu),
                gv,
            )
            fall = here - there
            capacity = np.maximum(fall, 0.01) * speed * water * 3.0
            surplus = load - capacity
            change = np.where(
                fall < 0,
                np.minimum(load, -fall * 0.5),
                np.where(surplus > 0, 0.25 * surplus, np.maximum(0.12 * surplus, -0.3 * fall)),
            )
            load -= change
            heights += np.bincount(
                corners.ravel(), (weights * change).ravel(), minlength=heights.size
            ).reshape(heights.shape)
            speed = np.sqrt(np.clip(speed**2 + fall * 2.0, 0.05, 9.0))
            water *= 0.975
    return heights.astype(np.float32)


# --------------------------------------------------------------------------
# Sky and water
# --------------------------------------------------------------------------


def paint_sky(camera, rng, sun_column, sun_row, palette, cover, cloud_height=1.0):
    """Return a linear-light sky with a glow around the sun and lit clouds.

    `palette` gives the colours zenith, middle, horizon, glow, cloud_lit and
    cloud_shade; `cover` shifts the share of the sky that clouds take.
    """
    slope_x, slope_z = camera.pixel_rays()
    rise = np.clip(slope_z, 0.0, None)
    top = camera.horizon / camera.focal
    t = np.clip(rise / top, 0, 1)[..., None]
    sky = mix(palette["horizon"], palette["middle"], smoothstep(0.0, 0.55, t))
    sky = mix(sky, palette["zenith"], smoothstep(0.3, 1.15, t))

    columns = slope_x * camera.focal + camera.width / 2
    rows = camera.horizon - slope_z * camera.focal
    away = np.hypot(columns - sun_column, (rows - sun_row) * 1.25) / camera.width
    glow = (0.6 * np.exp(-away / 0.2) + 1.6 * np.exp(-((away / 0.07) ** 2)))[..., None]
    sky = sky + palette["glow"] * glow

    # Clouds lie on a plane overhead, hence shrink towards the horizon; the
    # offset keeps those at the horizon from turning into stripes.
    size = 1024
    billow = tiling_noise(rng, size, 1.55, low_cut=3)
    warp = tiling_noise(rng, size, 1.7, low_cut=2)
    distance = cloud_height / (rise + 0.16)
    u, v = slope_x * distance * 150 + 300, distance * 95
    bend = 14.0 * sample(warp, u * 0.7, v * 0.7)

    def density(du, dv):
        value = sample(billow, u + bend + du, v * 1.25 + bend * 0.6 + dv)
        value = value + 0.22 * sample(billow, (u + du) * 4.1, (v + dv) * 4.7)
        value = value + 0.10 * sample(billow, (u + du) * 13.0, (v + dv) * 14.0)
        return value

    thick = density(0.0, 0.0)
    towards = np.sign(sun_column - columns) * 3.5
    body = smoothstep(-0.1, 1.5, thick + cover)
    shade = smoothstep(-0.6, 0.9, thick - density(towards, 4.0) + 0.15)
    thin = np.exp(-1.2 * body)
    light = np.clip(0.55 * shade + 0.55 * thin, 0, 1)[..., None]
    warm = np.exp(-away / 0.35)[..., None]
    cloud = mix(palette["cloud_shade"], palette["cloud_lit"], light)
    cloud = cloud * (1 + 0.35 * warm) + palette["glow"] * 0.5 * warm * light
    fade = smoothstep(0.02, 0.25, rise)[..., None]
    alpha = (body * 0.92)[..., None] * mix(0.55, 1.0, fade)
    return mix(sky, cloud, alpha).astype(np.float32)


def paint_water(camera, rng, reflection, deep, roughness, calm=0.5, taps=5):
    """Return what the water shows: the mirrored view, bent by ripples.

    Ripples smaller than a pixel cannot be drawn, they blur the reflection
    along the column instead; hence several taps with spread-out slopes.
    """
    slope_x, slope_z = camera.pixel_rays()
    first = int(camera.horizon) + 1
    slope_x, down = slope_x[first:], np.maximum(-slope_z[first:], 1e-4)
    depth = camera.eye / down
    x = slope_x * depth
    size = 1024
    waves = tiling_noise(rng, size, 1.3, low_cut=6)
    gusts = tiling_noise(rng, size, 1.6, low_cut=2)
    gust = smoothstep(-0.4, 1.4, sample(gusts, x * 0.9 + 77, depth * 0.35))

    slope_v = np.zeros_like(x)
    slope_u = np.zeros_like(x)
    hidden = np.zeros_like(x)
    for texels, share in ((14.0, 0.75), (45.0, 1.0), (160.0, 0.8)):
        # One texel must cover a pixel, seen in perspective, to be resolved.
        footprint = depth**2 / (camera.eye * camera.focal) * texels
        seen = 1.0 - smoothstep(6.0, 50.0, footprint)
        u, v = x * texels, depth * texels
        slope_v += share * seen * sample(waves, u * 0.6, v)
        slope_u += share * seen * sample(waves, u * 0.6 + 511, v + 333)
        hidden += (share * (1.0 - seen)) ** 2
    strength = roughness * mix(calm, 1.0, gust)
    slope_v, slope_u = slope_v * strength, slope_u * strength
    hidden = np.sqrt(hidden) * strength

    rows = np.arange(first, camera.height, dtype=np.float32)[:, None]
    columns = np.arange(camera.width, dtype=np.float32)[None, :]
    jitter = rng.standard_normal(x.shape).astype(np.float32)
    colour = np.zeros((*x.shape, 3), dtype=np.float32)
    for tap in np.linspace(-1.3, 1.3, taps):
        lift = 2 * camera.focal * (slope_v + hidden * (tap + 0.15 * jitter) * 0.8)
        row = 2 * camera.horizon - rows - lift
        # A slope that would mirror the ground below the horizon shows the horizon.
        row = np.clip(row, 0, camera.horizon - 1)
        column = np.clip(columns + camera.focal * slope_u * 0.25, 0, camera.width - 1.001)
        colour += sample(reflection, column, row) / taps

    grazing = np.clip(np.sin(np.arctan(down)) + slope_v * 0.9, 0.0, 1.0)
    fresnel = (0.03 + 0.97 * (1.0 - grazing) ** 5)[..., None]
    return mix(deep, colour, np.clip(fresnel * 1.12, 0, 1)), first


def fill_below_shore(image, land):
    """Continue the lowest land of each column downwards.

    In the mirrored view the shore ends above the horizon; ripples look for
    colours in the gap, where the sky would shine through.
    """
    rows = image.shape[0]
    lowest = rows - 1 - np.argmax(land[::-1] > 0.5, axis=0)
    lowest = np.where(land.max(axis=0) > 0.5, lowest, rows - 1)
    source = np.minimum(np.arange(rows)[:, None], lowest - 1)
    return image[source, np.arange(image.shape[1])]


# --------------------------------------------------------------------------
# Trees
# --------------------------------------------------------------------------


def conifer_sprite(rng, height=420):
    """Draw one conifer; return its light (0..1) and its coverage (0..1).

    The light falls in from the left, as everywhere in the landscapes.
    """
    width = int(height * rng.uniform(0.40, 0.5))
    light = Image.new("L", (width, height), 0)
    cover = Image.new("L", (width, height), 0)
    paint, mask = ImageDraw.Draw(light), ImageDraw.Draw(cover)
    centre = width / 2
    lean = rng.normal(0, 0.01) * height
    for drawing, value in ((paint, 40), (mask, 255)):
        trunk = [(centre - 4, height), (centre + 4, height), (centre + lean + 1, 8), (centre + lean, 0)]
        drawing.polygon(trunk, fill=value)
    spread = rng.uniform(0.8, 1.0) * width * 0.47
    whorls = 46
    for level in range(whorls, 0, -1):
        t = level / whorls
        y = 4 + (height * 0.95) * t**1.05
        reach = spread * (0.03 + 0.97 * t**1.05) * rng.uniform(0.55, 1.08)
        for _ in range(11):
            side = rng.uniform(-1, 1)
            length = reach * math.copysign(abs(side) ** 0.6, side)
            base_x = centre + lean * (1 - t)
            tip = (base_x + length, y + abs(length) * rng.uniform(0.15, 0.5) + rng.normal(0, 2))
            value = 96 - 78 * (length / spread) + rng.normal(0, 30) - 25 * (1 - abs(side))
            shade = int(np.clip(value, 6, 255))
            thick = int(rng.integers(2, 5))
            paint.line([(base_x, y), tip], fill=shade, width=thick)
            mask.line([(base_x, y), tip], fill=255, width=thick)
            # Hanging twigs make the fringe of the branches.
            for _ in range(4):
                f = rng.uniform(0.3, 1.0)
                px, py = mix(base_x, tip[0], f), mix(y, tip[1], f)
                end = (px + rng.normal(0, 4), py + rng.uniform(3, 11))
                glow = int(np.clip(shade + rng.normal(8, 22), 4, 255))
                paint.line([(px, py), end], fill=glow, width=2)
                mask.line([(px, py), end], fill=255, width=2)
    return (np.asarray(light, dtype=np.float32) / 255.0, np.asarray(cover, dtype=np.float32) / 255.0)


def broadleaf_sprite(rng, height=260):
    """Draw one round-headed tree like `conifer_sprite`."""
    width = int(height * rng.uniform(0.85, 1.1))
    light = Image.new("L", (width, height), 0)
    cover = Image.new("L", (width, height), 0)
    paint, mask = ImageDraw.Draw(light), ImageDraw.Draw(cover)
    for drawing, value in ((paint, 30), (mask, 255)):
        drawing.line([(width / 2, height), (width / 2, height * 0.55)], fill=value, width=9)
    clumps = []
    for _ in range(34):
        angle, away = rng.uniform(0, 2 * math.pi), math.sqrt(rng.random())
        x = width * (0.5 + 0.34 * away * math.cos(angle))
        y = height * (0.43 + 0.30 * away * math.sin(angle))
        clumps.append((x, y, rng.uniform(0.08, 0.15) * width))
    # Low clumps lie behind the high, sunlit ones.
    for x, y, radius in sorted(clumps, key=lambda clump: -clump[1]):
        base = 70 - 90 * (x / width - 0.5) - 120 * (y / height - 0.43)
        for _ in range(85):
            angle, away = rng.uniform(0, 2 * math.pi), math.sqrt(rng.random())
            dx, dy = math.cos(angle) * away, math.sin(angle) * away
            value = int(np.clip(base - 60 * dx - 75 * dy + rng.normal(0, 24), 5, 255))
            px, py, leaf = x + radius * dx, y + radius * dy, rng.uniform(1.5, 4.0)
            spot = [px - leaf, py - leaf * 0.7, px + leaf, py + leaf * 0.7]
            paint.ellipse(spot, fill=value)
            mask.ellipse(spot, fill=255)
    return (np.asarray(light, dtype=np.float32) / 255.0, np.asarray(cover, dtype=np.float32) / 255.0)


class Forest:
    """Tree sprites, kept at the sizes at which they were needed."""

    def __init__(self, kinds):
        self.kinds = kinds
        self.cache = {}

    def sprite(self, kind, height):
        """Return light and coverage of a sprite about `height` pixels tall."""
        height = int(height if height < 24 else round(height / 6) * 6)
        key = (kind, height)
        if key not in self.cache:
            light, cover = self.kinds[kind]
            width = max(2, round(light.shape[1] * height / light.shape[0]))
            average = Image.Resampling.BOX
            cover_small = resize(cover, width, height, average)
            light_small = resize(light * cover, width, height, average) / np.maximum(cover_small, 1e-3)
            self.cache[key] = (light_small, cover_small)
        return self.cache[key]

    def plant(self, canvas, column, row, height, kind, dark, bright, depth=None, distance=0.0):
        """Composite one tree whose foot is at (column, row).

        With a `depth` buffer, what is nearer than `distance` stays in front and
        the tree is entered into the buffer.
        """
        light, cover = self.sprite(kind, max(3, height))
        rows, columns = light.shape
        x0, y0 = int(round(column - columns / 2)), int(round(row - rows))
        cx0, cy0 = max(x0, 0), max(y0, 0)
        cx1, cy1 = min(x0 + columns, canvas.shape[1]), min(y0 + rows, canvas.shape[0])
        if cx0 >= cx1 or cy0 >= cy1:
            return
        window = (slice(cy0 - y0, cy1 - y0), slice(cx0 - x0, cx1 - x0))
        colour = mix(dark, bright, light[window][..., None])
        region = canvas[cy0:cy1, cx0:cx1]
        alpha = cover[window]
        if depth is not None:
            behind = depth[cy0:cy1, cx0:cx1]
            alpha = alpha * (behind > distance)
            behind[alpha > 0.5] = distance
        region += alpha[..., None] * (colour - region)


# --------------------------------------------------------------------------
# Meshes: faces, rasteriser and shadow map
# --------------------------------------------------------------------------


@dataclass
class Face:
    """A parallelogram, or the triangle of its first half, with a texture.

    Texture rows run along `across`, columns along `along`; the channels are
    linear red, green, blue, coverage and glow (light from lit windows).
    """

    corner: np.ndarray
    along: np.ndarray
    across: np.ndarray
    texture: np.ndarray
    triangle: bool = False

    def outline(self):
        """Return the corner points."""
        points = [self.corner, self.corner + self.along, self.corner + self.across]
        if not self.triangle:
            points.append(self.corner + self.along + self.across)
        return np.array(points)


def plain(colour):
    """Return a texture of one linear colour."""
    return np.array([[[*colour, 1.0, 0.0]]], dtype=np.float32)


class SunView:
    """An orthographic view from the sun, used for the shadow map."""

    def __init__(self, sun, centre, extent, size):
        self.forward = -sun / np.linalg.norm(sun)
        right = np.cross(self.forward, [0.0, 0.0, 1.0])
        self.right = right / np.linalg.norm(right)
        self.up = np.cross(self.right, self.forward)
        self.centre = np.asarray(centre, dtype=np.float64)
        self.scale = size / extent
        self.width = self.height = size

    def project_points(self, points):
        """Return columns, rows and distances of points along the light."""
        offset = points - self.centre
        column = self.width / 2 + offset @ self.right * self.scale
        row = self.height / 2 - offset @ self.up * self.scale
        return column, row, offset @ self.forward

    def rays(self, columns, rows):
        """Return origins and directions of the rays through pixels."""
        a = (columns + 0.5 - self.width / 2) / self.scale
        b = (self.height / 2 - rows - 0.5) / self.scale
        origin = self.centre + a[..., None] * self.right + b[..., None] * self.up
        return origin, np.broadcast_to(self.forward, origin.shape)


class EyeView:
    """Give a `Camera` the interface of `SunView`; distances are depths along y."""

    def __init__(self, camera):
        self.camera = camera
        self.width, self.height = camera.width, camera.height

    def project_points(self, points):
        """Return columns, rows and depths of points."""
        depth = np.maximum(points[:, 1], 0.1)
        return *self.camera.project(points[:, 0], depth, points[:, 2]), depth

    def rays(self, columns, rows):
        """Return origins and directions of the rays through pixels."""
        camera = self.camera
        x = (columns + 0.5 - camera.width / 2) / camera.focal
        z = (camera.horizon - rows - 0.5) / camera.focal
        direction = np.stack([x, np.ones_like(x), z], axis=-1)
        return np.array([0.0, 0.0, camera.eye]), direction


def rasterise(view, faces, depth, surface=None, normals=None):
    """Draw faces into `depth` and, if given, their colours and normals.

    With a mirrored camera, what lies under water is left out.
    """
    clip_water = isinstance(view, EyeView) and view.camera.eye < 0
    for face in faces:
        columns, rows, distance = view.project_points(face.outline())
        c0, c1 = max(int(columns.min()), 0), min(int(columns.max()) + 1, view.width)
        r0, r1 = max(int(rows.min()), 0), min(int(rows.max()) + 1, view.height)
        if c0 >= c1 or r0 >= r1:
            continue
        normal = np.cross(face.along, face.across)
        cc, rr = np.meshgrid(np.arange(c0, c1), np.arange(r0, r1))
        origin, direction = view.rays(cc, rr)
        slant = direction @ normal
        slant = np.where(np.abs(slant) < 1e-9, 1e-9, slant)
        t = ((face.corner - origin) @ normal) / slant
        offset = origin + t[..., None] * direction - face.corner
        aa, bb, ab = face.along @ face.along, face.across @ face.across, face.along @ face.across
        pa, pb = offset @ face.along, offset @ face.across
        scale = aa * bb - ab * ab
        if scale < 1e-12:
            continue
        u, v = (pa * bb - pb * ab) / scale, (pb * aa - pa * ab) / scale
        limit = u + v if face.triangle else np.maximum(u, v)
        window = depth[r0:r1, c0:c1]
        inside = (u >= 0) & (v >= 0) & (limit <= 1) & (t < window)
        if isinstance(view, EyeView):
            inside &= t > 1.0
        if clip_water:
            inside &= offset[..., 2] + face.corner[2] >= 0
        if not inside.any():
            continue
        u, v = u[inside], v[inside]
        height, width = face.texture.shape[:2]
        texel = face.texture[
            np.minimum((v * height).astype(int), height - 1), np.minimum((u * width).astype(int), width - 1)
        ]
        solid = texel[:, 3] > 0.5
        inside[inside] = solid
        window[inside] = t[inside]
        if surface is not None:
            surface[r0:r1, c0:c1][inside] = texel[solid][:, [0, 1, 2, 4]]
            facing = normal / np.linalg.norm(normal)
            towards = np.where(slant[inside] > 0, -1.0, 1.0)[:, None]
            normals[r0:r1, c0:c1][inside] = facing * towards


class ShadowMap:
    """Answers how much of the sun reaches points of the scene."""

    def __init__(self, view, faces):
        self.view = view
        self.depth = np.full((view.height, view.width), np.inf)
        rasterise(view, faces, self.depth)

    def lit(self, points, bias=0.25):
        """Return 0 in shadow to 1 in full sun, softened over a few texels."""
        columns, rows, distance = self.view.project_points(points)
        total = np.zeros(len(points), dtype=np.float32)
        offsets = [(0.0, 0.0), (0.9, 0.4), (-0.9, -0.4), (0.4, -0.9), (-0.4, 0.9)]
        for du, dv in offsets:
            c = np.clip((columns + du).astype(int), 0, self.view.width - 1)
            r = np.clip((rows + dv).astype(int), 0, self.view.height - 1)
            total += distance < self.depth[r, c] + bias
        return total / len(offsets)


def place(points, x, y, z, yaw):
    """Rotate points about the vertical axis and move them to (x, y, z)."""
    points = np.asarray(points, dtype=np.float64)
    c, s = math.cos(yaw), math.sin(yaw)
    turned = np.stack(
        [points[..., 0] * c - points[..., 1] * s, points[..., 0] * s + points[..., 1] * c, points[..., 2]],
        axis=-1,
    )
    return turned + [x, y, z]


def parallelogram(texture, corner, end_along, end_across):
    """Return a face from three of its corners."""
    corner = np.asarray(corner)
    return Face(corner, end_along - corner, end_across - corner, texture)


def box(texture, x0, x1, y0, y1, z0, z1, x, y, z, yaw):
    """Return the five visible faces of a box given in local coordinates."""

    def p(a, b, c):
        return place([a, b, c], x, y, z, yaw)

    return [
        parallelogram(texture, p(x0, y0, z1), p(x1, y0, z1), p(x0, y0, z0)),
        parallelogram(texture, p(x0, y1, z1), p(x0, y0, z1), p(x0, y1, z0)),
        parallelogram(texture, p(x1, y0, z1), p(x1, y1, z1), p(x1, y0, z0)),
        parallelogram(texture, p(x1, y1, z1), p(x0, y1, z1), p(x1, y1, z0)),
        parallelogram(texture, p(x0, y1, z1), p(x1, y1, z1), p(x0, y0, z1)),
    ]


# --------------------------------------------------------------------------
# Houses and boats
# --------------------------------------------------------------------------

TEXELS_PER_METRE = 22
GLASS_GLOW = np.array([1.0, 0.62, 0.26], dtype=np.float32) * 1.6


def textured(image, rng, stain=0.12, coverage=None, glow=None):
    """Turn a display-colour image into a weathered texture of a face."""
    array = (np.asarray(image, dtype=np.float32)[..., :3] / 255.0) ** 2.2
    height, width = array.shape[:2]
    noise = fractal_noise(rng, width, height, 40, 5, 0.65)
    streaks = value_noise(rng, width, height, 7, 90)
    array = array * np.exp(stain * (noise + 0.6 * streaks))[..., None]
    texture = np.ones((height, width, 5), dtype=np.float32)
    texture[..., :3] = array
    texture[..., 4] = 0.0 if glow is None else glow
    if coverage is not None:
        texture[..., 3] = coverage
    return texture


def wall_texture(rng, width, height, base, storeys, gable=0.0, door=False, boards=False):
    """Draw a wall with windows, shutters and perhaps a door; sizes in metres.

    `gable` metres at the top taper to the ridge.
    """
    k = TEXELS_PER_METRE
    columns, rows = max(4, int(width * k)), max(4, int((height + gable) * k))
    image = Image.new("RGB", (columns, rows), tuple(base))
    glow = Image.new("L", (columns, rows), 0)
    draw, shine = ImageDraw.Draw(image), ImageDraw.Draw(glow)
    if boards:
        dark = tuple(int(c * 0.78) for c in base)
        for row in range(0, rows, 5):
            draw.line([(0, row), (columns, row)], fill=dark)
    trim = (238, 232, 218) if sum(base) < 600 else (120, 92, 70)
    shutter = [(46, 84, 74), (60, 78, 110), (122, 52, 38), (84, 94, 70), (96, 70, 50)][rng.integers(5)]
    has_shutters = rng.random() < 0.65 and not boards
    count = max(1, int(width / rng.uniform(2.3, 3.0)))
    pitch = columns / count
    tall = height * k / storeys

    def window(cx, cy, w, h):
        lit = rng.random() < 0.16
        draw.rectangle([cx - w / 2 - 3, cy - h / 2 - 3, cx + w / 2 + 3, cy + h / 2 + 4], fill=trim)
        box_ = [cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2]
        tone = rng.uniform(0.6, 1.5)
        draw.rectangle(box_, fill=(245, 200, 120) if lit else tuple(int(c * tone) for c in (38, 48, 60)))
        if lit:
            shine.rectangle(box_, fill=int(rng.uniform(120, 255)))
        else:
            # The upper panes mirror the bright sky.
            draw.polygon(
                [(box_[0], box_[1]), (box_[2], box_[1]), (box_[0], box_[1] + h * 0.5)], fill=(120, 132, 146)
            )
        for bar in ([(cx, box_[1]), (cx, box_[3])], [(box_[0], cy - h * 0.12), (box_[2], cy - h * 0.12)]):
            draw.line(bar, fill=trim, width=2)
            shine.line(bar, fill=0, width=2)
        draw.rectangle(
            [cx - w / 2 - 5, cy + h / 2 + 2, cx + w / 2 + 5, cy + h / 2 + 5],
            fill=tuple(int(c * 0.8) for c in trim),
        )
        draw.line(
            [(cx - w / 2 - 4, cy + h / 2 + 7), (cx + w / 2 + 6, cy + h / 2 + 7)],
            fill=tuple(int(c * 0.6) for c in base),
            width=2,
        )
        if has_shutters:
            for side in (-1, 1):
                sx = cx + side * (w / 2 + 3 + w * 0.27)
                draw.rectangle([sx - w * 0.25, cy - h / 2 - 1, sx + w * 0.25, cy + h / 2 + 1], fill=shutter)
                for slat in range(int(cy - h / 2) + 2, int(cy + h / 2), 4):
                    draw.line(
                        [(sx - w * 0.2, slat), (sx + w * 0.2, slat)],
                        fill=tuple(int(c * 0.7) for c in shutter),
                    )

    w, h = min(1.0 * k, pitch * 0.42), min(1.5 * k, tall * 0.52)
    door_at = rng.integers(count) if door else -1
    for storey in range(storeys):
        cy = gable * k + tall * (storey + 0.5)
        for column in range(count):
            cx = pitch * (column + 0.5)
            if door and storey == storeys - 1 and column == door_at:
                left, right, top = cx - 0.6 * k, cx + 0.6 * k, rows - 2.3 * k
                draw.rectangle([left - 4, top - 4, right + 4, rows], fill=trim)
                draw.rectangle([left, top, right, rows], fill=tuple(int(c * 0.8) for c in shutter))
                draw.rectangle([left, top, right, top + 8], fill=(60, 66, 70))
            elif rng.random() < 0.93:
                window(cx, cy, w, h)
    if gable > 2.0:
        window(columns / 2, gable * k * 0.68, w * 0.8, h * 0.8)

    row = np.arange(rows, dtype=np.float32)[:, None] / k
    column = np.abs(np.arange(columns, dtype=np.float32)[None, :] / columns - 0.5) * 2
    coverage = (column <= row / gable).astype(np.float32) if gable else np.ones((rows, columns))
    texture = textured(image, rng, 0.17, coverage, np.asarray(glow, dtype=np.float32) / 255.0)
    below_eaves = row - gable * column if gable else row + 0 * column
    shade = mix(0.45, 1.0, smoothstep(-0.1, 0.9, below_eaves)) * mix(
        0.6, 1.0, smoothstep(0.0, 1.6, height + gable - row)
    )
    texture[..., :3] *= np.broadcast_to(shade, (rows, columns))[..., None]
    return texture


def painted_wood(rng, colour):
    """Draw weathered planks in one paint."""
    columns, rows = 48, 24
    texture = textured(Image.new("RGB", (columns, rows)), rng)
    wear = fractal_noise(rng, columns, rows, 12, 4, 0.7, stretch=3.0)
    seams = np.where(np.arange(rows) % 6 == 0, 0.72, 1.0)[:, None]
    texture[..., :3] = rgb(colour) * (np.exp(0.16 * wear) * seams)[..., None]
    return texture


def roof_texture(rng, width, length, slate):
    """Draw a tiled roof, eaves at the bottom; sizes in metres."""
    k = TEXELS_PER_METRE
    columns, rows = max(4, int(width * k)), max(4, int(length * k))
    tile_w, tile_h = 6, 8
    shape = (rows // tile_h + 2, columns // tile_w + 2)
    tone = np.exp(0.24 * rng.standard_normal(shape)).astype(np.float32)
    row, column = np.mgrid[0:rows, 0:columns]
    course = row // tile_h
    shift = (course % 2) * (tile_w // 2)
    value = tone[course, (column + shift) // tile_w]
    value = value * (0.72 + 0.45 * ((row % tile_h) / tile_h)) * np.where(row % tile_h == 0, 0.5, 1.0)
    value = value * np.where((column + shift) % tile_w == 0, 0.72, 1.0)
    hues = ["4e545c", "5b5f63", "474d57"] if slate else ["a9583a", "b4683f", "984a34", "a86446"]
    colour = rgb(hues[rng.integers(len(hues))])
    texture = textured(Image.new("RGB", (columns, rows)), rng)
    moss = fractal_noise(rng, columns, rows, 60, 5, 0.6)
    base = mix(colour, rgb("6a6238"), 0.3 * smoothstep(0.4, 2.0, moss)[..., None])
    texture[..., :3] = base * (value * np.exp(0.12 * moss))[..., None]
    return texture


def house(rng, x, y, z, width, depth, wall, rise, yaw, base, storeys, facing_gable, boards=False):
    """Return the faces of a gabled house whose front stands at (x, y, z)."""
    slate = rng.random() < 0.22
    half, over = width / 2, 0.35

    def p(a, b, c):
        return place([a, b, c], x, y, z, yaw)

    faces = []
    front_gable, side_gable = (rise, 0.0) if facing_gable else (0.0, rise)
    front = wall_texture(rng, width, wall, base, storeys, front_gable, True, boards)
    side = wall_texture(rng, depth, wall, base, storeys, side_gable, False, boards)
    top_f, top_s = wall + front_gable, wall + side_gable
    faces.append(parallelogram(front, p(-half, 0, top_f), p(half, 0, top_f), p(-half, 0, 0)))
    faces.append(parallelogram(front, p(half, depth, top_f), p(-half, depth, top_f), p(half, depth, 0)))
    faces.append(parallelogram(side, p(-half, depth, top_s), p(-half, 0, top_s), p(-half, depth, 0)))
    faces.append(parallelogram(side, p(half, 0, top_s), p(half, depth, top_s), p(half, 0, 0)))
    ridge = wall + rise + 0.12
    if facing_gable:
        drop = rise / half * over
        tiles = roof_texture(rng, depth + 2 * over, math.hypot(half + over, rise), slate)
        for side_ in (-1, 1):
            edge = side_ * (half + over)
            faces.append(
                parallelogram(
                    tiles, p(0, -over, ridge), p(0, depth + over, ridge), p(edge, -over, wall - drop + 0.12)
                )
            )
    else:
        drop = rise / (depth / 2) * over
        tiles = roof_texture(rng, width + 2 * over, math.hypot(depth / 2 + over, rise), slate)
        for edge in (-over, depth + over):
            faces.append(
                parallelogram(
                    tiles,
                    p(-half - over, depth / 2, ridge),
                    p(half + over, depth / 2, ridge),
                    p(-half - over, edge, wall - drop + 0.12),
                )
            )
    cx, cy = rng.uniform(-0.3, 0.3) * width, depth * rng.uniform(0.4, 0.7)
    brick = textured(Image.new("RGB", (16, 30), (140, 92, 72)), rng, 0.25)
    faces += box(
        brick, cx - 0.4, cx + 0.4, cy - 0.4, cy + 0.4, wall, ridge + rng.uniform(0.5, 1.2), x, y, z, yaw
    )
    return faces


def post(texture, start, end, thickness):
    """Return a thin round-ish pole as two crossed strips."""
    start, end = np.asarray(start, dtype=np.float64), np.asarray(end, dtype=np.float64)
    axis = (end - start) / np.linalg.norm(end - start)
    side = np.cross(axis, [0.0, 1.0, 0.0])
    side /= np.linalg.norm(side)
    faces = []
    for turn in (side, np.cross(axis, side)):
        corner = start - turn * thickness / 2
        faces.append(Face(corner, turn * thickness, end - start, texture))
    return faces


def boat(rng, x, y, yaw, length, colours, mast=0.0, cabin=False):
    """Return the faces of a boat: a lofted hull with mast, cabin and rigging.

    `colours` are the hull, the stripe under the gunwale, and the deck.
    """
    hull, stripe, deck = (painted_wood(rng, colour) for colour in colours)
    antifoul, wood, white = plain(rgb("5a2a22")), plain(rgb("8a5f38")), plain(rgb("e6dfd0"))
    beam, stations = length * 0.17, 14
    t = np.linspace(0, 1, stations)
    # Widest a little aft of the middle, pointed at the bow, cut off at the stern.
    bow = np.sqrt(np.clip(1 - ((t - 0.42) / 0.58) ** 2, 0, 1))
    breadth = beam * np.where(t < 0.42, mix(1.0, 0.62, ((0.42 - t) / 0.42) ** 2), bow)
    sheer = length * (0.095 + 0.085 * (t - 0.35) ** 2 * 2.2 + 0.06 * t**3)
    along = (t - 0.45) * length
    faces = []
    levels = [(1.0, 1.0), (0.95, 0.78), (0.8, 0.22), (0.6, -0.1)]
    for side in (-1, 1):
        curves = [
            place(
                np.stack([along + 0.04 * length * t**3 * f_z, side * breadth * f_b, sheer * f_z], axis=-1),
                x,
                y,
                0,
                yaw,
            )
            for f_b, f_z in levels
        ]
        for band, texture in enumerate((stripe, hull, antifoul)):
            upper, lower = curves[band], curves[band + 1]
            for i in range(stations - 1):
                faces.append(Face(upper[i], upper[i + 1] - upper[i], lower[i] - upper[i], texture, True))
                faces.append(
                    Face(lower[i + 1], lower[i] - lower[i + 1], upper[i + 1] - lower[i + 1], texture, True)
                )
        middle = place(np.stack([along, 0 * along, sheer * 0.82], axis=-1), x, y, 0, yaw)
        rail = place(np.stack([along, side * breadth * 0.95, sheer * 0.82], axis=-1), x, y, 0, yaw)
        for i in range(stations - 1):
            faces.append(Face(middle[i], middle[i + 1] - middle[i], rail[i] - middle[i], deck, True))
            faces.append(Face(rail[i + 1], rail[i] - rail[i + 1], middle[i + 1] - rail[i + 1], deck, True))
    # The transom closes the stern.
    stern = [
        place([along[0], s * breadth[0] * f_b, sheer[0] * f_z], x, y, 0, yaw)
        for s, (f_b, f_z) in ((-1, levels[0]), (1, levels[0]), (-1, levels[2]))
    ]
    faces.append(parallelogram(hull, *stern))
    z = float(sheer[4]) * 0.82

    def p(a, b, c):
        return place([a, b, c], x, y, 0, yaw)

    if cabin:
        long, tall, wide = length * 0.15, length * 0.17, beam * 0.55
        image = Image.new("RGB", (60, 40), (228, 222, 208))
        draw = ImageDraw.Draw(image)
        for left in (6, 24, 42):
            draw.rectangle([left, 7, left + 12, 19], fill=(40, 52, 62))
        faces += box(textured(image, rng, 0.06), -long, long, -wide, wide, z, z + tall, x, y, 0, yaw)
        faces += box(
            stripe,
            -long * 1.15,
            long * 1.2,
            -wide * 1.15,
            wide * 1.15,
            z + tall,
            z + tall * 1.1,
            x,
            y,
            0,
            yaw,
        )
    if mast:
        foot, head = p(length * 0.08, 0, z), p(length * 0.07, 0, mast)
        faces += post(wood, foot, head, 0.12)
        line = plain(rgb("4a4540"))
        for end in (
            p(along[-1] + 0.03 * length, 0, sheer[-1]),
            p(along[0], 0, sheer[0]),
            p(length * 0.05, beam, z),
            p(length * 0.05, -beam, z),
        ):
            faces += post(line, mix(foot, head, 0.97), end, 0.045)
        boom_z = z + length * 0.13
        if not cabin:
            faces += post(white, p(length * 0.07, 0, boom_z + 0.15), p(-length * 0.38, 0, boom_z + 0.1), 0.42)
            faces += box(
                plain(rgb("d8d2c4")),
                -length * 0.16,
                length * 0.2,
                -beam * 0.45,
                beam * 0.45,
                z,
                z + length * 0.05,
                x,
                y,
                0,
                yaw,
            )
        faces += post(wood, p(length * 0.07, 0, boom_z), p(-length * 0.4, 0, boom_z), 0.14)
        cross = mix(foot, head, 0.62)
        reach = place([0, 0.09 * mast, 0], 0, 0, 0, yaw)
        faces += post(wood, cross - reach, cross + reach, 0.08)
    return faces


# --------------------------------------------------------------------------
# Content: mountains
# --------------------------------------------------------------------------

MOUNTAIN_SKY = {
    "zenith": rgb("3e6699") * 0.7,
    "middle": rgb("86a8c6") * 0.85,
    "horizon": rgb("dcd8cd") * 0.9,
    "glow": rgb("ffbe7a") * 0.8,
    "cloud_lit": rgb("fff0df") * 1.1,
    "cloud_shade": rgb("8f9bb0") * 0.9,
}
MOUNTAIN_SUN = np.array([-0.80, -0.22, 0.56])
MOUNTAIN_SUNLIGHT = np.array([1.0, 0.83, 0.62], dtype=np.float32) * 1.75
MOUNTAIN_SKYLIGHT = np.array([0.36, 0.46, 0.66], dtype=np.float32) * 0.62


def mountain_range(rng):
    """Build the far height field: eroded massifs behind a valley with a lake."""
    size, cell = 720, 20.0
    x = (np.arange(size, dtype=np.float32) - size / 2) * cell
    y = np.arange(size, dtype=np.float32) * cell + 500.0
    x, y = np.meshgrid(x, y)
    warp = 330.0
    wx = x + warp * fractal_noise(rng, size, size, 150, 4)
    wy = y + warp * fractal_noise(rng, size, size, 150, 4)

    def massif(cx, cy, height, radius, sharpness=1.5):
        away = np.hypot(wx - cx, wy - cy) / radius
        return height * np.exp(-(away**sharpness))

    envelope = np.maximum.reduce(
        [
            massif(500, 8300, 4100, 2200),
            massif(2200, 9000, 3000, 1800),
            massif(-1500, 8600, 2700, 1500),
            massif(-3600, 7400, 2500, 1900),
            massif(3900, 6900, 2100, 1500),
            massif(-700, 12200, 2900, 2500),
            massif(4300, 11800, 3000, 2600),
            massif(-5000, 11600, 3300, 2600),
        ]
    )
    foothills = np.maximum.reduce(
        [
            massif(-2500, 3900, 520, 1300, 1.6),
            massif(-1000, 3300, 210, 800, 1.6),
            massif(2000, 3700, 620, 1000, 1.6),
            massif(-500, 5200, 380, 1000, 1.6),
            massif(2900, 2100, 520, 800, 1.6),
            massif(-2700, 1900, 560, 850, 1.6),
        ]
    )
    ridges = ridged_noise(rng, size, size, 135, 7, 0.5)
    rolling = fractal_noise(rng, size, size, 70, 7, 0.5)
    heights = envelope * (0.42 + 1.0 * ridges) + foothills * (0.85 + 0.22 * rolling + 0.25 * ridges)
    heights = settle(heights, 1.5 * cell, 40)
    heights = settle(erode(heights / cell, rng, 26_000, 7) * cell, 1.35 * cell, 40)
    shore = 880 + 90 * fractal_noise(rng, size, size, 60, 5)
    inland = smoothstep(0, 1500, y - shore)
    heights = (heights + 25) * (0.06 + 0.94 * inland) + 7 * smoothstep(-40, 60, y - shore) - 12
    heights = np.where(y < shore, -5.0, heights)

    fine = 2
    heights = resize(heights, size * fine, size * fine)
    crag = ridged_noise(rng, size * fine, size * fine, 22, 5, 0.6) - 0.45
    heights = heights + crag * 75 * smoothstep(350, 1500, heights)
    heights += 9 * fractal_noise(rng, size * fine, size * fine, 14, 4, 0.6) * smoothstep(10, 300, heights)
    return HeightField(heights, -size / 2 * cell, 500.0, cell / fine)


def lake_promontory(rng):
    """Build the near height field: a wooded point of land on the right."""
    size, cell = 640, 0.75
    x = np.arange(size, dtype=np.float32) * cell - 160
    y = np.arange(size, dtype=np.float32) * cell + 20
    x, y = np.meshgrid(x, y)
    ragged = 7 * fractal_noise(rng, size, size, 60, 5)
    tip = 26 + ((y - 168) / 30) ** 2 * 13 + ragged
    inland = x - tip
    heights = 7.5 * (1 - np.exp(-np.clip(inland, 0, None) / 38))
    heights += 0.5 * fractal_noise(rng, size, size, 20, 6) * smoothstep(0, 12, inland)
    heights += 0.45 * ridged_noise(rng, size, size, 9, 4) * smoothstep(0, 3, inland)
    # A sloping lake bed; a step down to it would stand out as a wall.
    heights = np.where(inland > 0, heights, np.maximum(0.35 * inland, -2.0))
    return HeightField(np.where(y > 34, heights, -2.0), -160.0, 20.0, cell)


def draw_mountains(rng):
    """Draw snow peaks above a lake, with a forest and a cabin by the shore."""
    width, height = (side * OVERSAMPLING for side in CONTENT_SIZE)
    camera = Camera(width, height, focal=1750.0, horizon=800.0, eye=7.0)
    far = mountain_range(rng).lit_by(MOUNTAIN_SUN)
    near = lake_promontory(rng).lit_by(MOUNTAIN_SUN)
    textures = [tiling_noise(rng, 1024, slope) for slope in (0.8, 1.1, 1.4)]
    forest = Forest([conifer_sprite(rng) for _ in range(8)])
    seed = rng.integers(1 << 32)

    cabin = lakeside_cabin(rng, near)

    def scene(view):
        # The same seed for both views plants the same trees in both.
        local = np.random.default_rng(seed)
        sky = paint_sky(camera, local, -0.02 * width, 560, MOUNTAIN_SKY, cover=-0.1)
        return paint_mountain_scene(view, sky, far, near, cabin, textures, forest, local)

    image, land = scene(camera)
    reflection = fill_below_shore(*scene(camera.mirrored()))
    water, first = paint_water(camera, rng, reflection, rgb("0f4046") * 0.7, 0.0075, calm=0.4)
    image[first:] = mix(water, image[first:], land[first:, :, None])
    return grade(tonemap(image, 0.95), 1.06, 0.32, 0.012, rng)


def lakeside_cabin(rng, near):
    """Return the faces of a cabin on the promontory, its jetty and a rowing boat."""
    x, y = 47.0, 154.0
    z = float(near.height(np.array([x]), np.array([y]))[0])
    faces = house(rng, x, y, z - 0.3, 8.5, 7.0, 3.2, 2.9, -0.3, (128, 84, 54), 1, True, True)
    planks = painted_wood(rng, "7c6a55")
    faces += box(planks, -7.5, 7.5, -0.9, 0.9, 0.55, 0.75, 26.0, 137.0, 0.0, 0.35)
    for along in (-7.0, -3.5, 0.0, 3.5):
        for side in (-0.9, 0.9):
            foot = place([along, side, 0.0], 26.0, 137.0, -0.5, 0.35)
            faces += post(planks, foot, foot + [0, 0, 1.9], 0.28)
    faces += boat(rng, -10.5, 62.0, 0.35, 5.6, ("a8402e", "e6dcc4", "8a6440"))
    return faces


def paint_mountain_scene(camera, sky, far, near, cabin, textures, forest, rng):
    """Paint everything above the water; also return the coverage of the land."""

    def field_height(x, y):
        return np.where(y < 480, near.height(x, y), far.height(x, y))

    depth = cast_height_field(camera, field_height, ((24.0, 480.0, 1000), (500.0, 15000.0, 1200)), floor=0.02)
    canvas = sky.copy()
    rows, columns = np.nonzero(np.isfinite(depth))
    y = depth[rows, columns]
    slope_x = (columns + 0.5 - camera.width / 2) / camera.focal
    x = (slope_x * y).astype(np.float32)
    z = field_height(x, y)
    is_near = y < 480
    step = np.maximum(np.where(is_near, 0.5, 6.0), y / camera.focal * 1.2)
    normal = ground_normals(field_height, x, y, step)

    coarse, medium, smooth = textures
    # Rock is stretched along its strata, hence looked up by height as well.
    grain = sample(coarse, x * 0.11 + z * 0.05, y * 0.05 + z * 0.21)
    patch = sample(smooth, x * 0.05, y * 0.05)
    strata = sample(medium, x * 0.004 + patch * 3, z * 0.22)
    steep = 1.0 - normal[:, 2]

    rock = mix(rgb("3f3a37"), rgb("8f8170"), smoothstep(-1.5, 1.5, 0.8 * grain + 0.7 * strata)[:, None])
    rock = mix(rock, rgb("6b5a4b"), (0.5 * smoothstep(0, 2, patch))[:, None])
    scree = mix(rgb("6f685f"), rgb("938a7d"), smoothstep(-1.5, 1.5, grain)[:, None])
    ground = mix(rock, scree, smoothstep(0.32, 0.2, steep)[:, None])
    meadow = mix(rgb("3c4a24"), rgb("767443"), smoothstep(-1.2, 1.6, grain + patch)[:, None])
    green = smoothstep(1150, 650, z + 140 * patch + 60 * grain) * smoothstep(0.45, 0.22, steep)
    # Under the trees the ground is dark, which ties single trees into a forest.
    wooded = smoothstep(1000, 650, z + 90 * grain) * smoothstep(
        -1.4, 0.2, sample(smooth, x * 0.22, y * 0.22) + 0.5
    )
    meadow = mix(meadow, rgb("1d2a17"), 0.85 * wooded[:, None])
    ground = mix(ground, meadow, green[:, None])
    snow_line = 1090 + 150 * patch + 60 * grain
    hold = smoothstep(0.55, 0.31, steep + 0.05 * grain - 0.00010 * (z - 1500))
    snow = smoothstep(-120, 260, z - snow_line) * hold
    ground = mix(ground, rgb("f4f5f7") * 0.95, snow[:, None])

    fine = sample(coarse, x * 1.9, y * 0.8 + z * 2.0)
    turf = mix(
        rgb("2c3817"),
        rgb("7d7a45"),
        smoothstep(-1.4, 1.8, fine + 0.6 * sample(smooth, x * 3, y * 3))[:, None],
    )
    stone = mix(
        rgb("2f2b28"), rgb("8a8177"), smoothstep(-1.5, 1.5, sample(coarse, x * 3.5, y * 2.5 + z * 9))[:, None]
    )
    shore = mix(stone, turf, smoothstep(0.45, 1.3, z + 0.25 * fine)[:, None])
    ground = np.where(is_near[:, None], shore, ground)

    shadow = np.where(is_near, near.lookup(near.shadow, x, y), far.lookup(far.shadow, x, y))
    open_sky = np.where(is_near, near.lookup(near.occlusion, x, y), far.lookup(far.occlusion, x, y))
    bump = 1 + 0.16 * grain * (1 - snow) + 0.03 * grain
    facing = np.clip(normal @ (MOUNTAIN_SUN / np.linalg.norm(MOUNTAIN_SUN)), 0, None) * bump
    light = (
        MOUNTAIN_SUNLIGHT * (facing * shadow)[:, None]
        + MOUNTAIN_SKYLIGHT * (open_sky * mix(0.6, 1.1, normal[:, 2]))[:, None]
    )
    canvas[rows, columns] = mountain_haze(camera, ground * light * 1.15, x, y, z)

    depth = depth.astype(np.float64)
    surface = np.zeros((camera.height, camera.width, 4), dtype=np.float32)
    normals = np.zeros((camera.height, camera.width, 3), dtype=np.float32)
    rasterise(EyeView(camera), cabin, depth, surface, normals)
    rows, columns = np.nonzero(np.abs(normals).sum(axis=-1))
    normal = normals[rows, columns]
    facing = np.clip(normal @ (MOUNTAIN_SUN / np.linalg.norm(MOUNTAIN_SUN)), 0, None)
    light = MOUNTAIN_SUNLIGHT * facing[:, None] + MOUNTAIN_SKYLIGHT * mix(0.7, 1.0, normal[:, 2:])
    canvas[rows, columns] = surface[rows, columns, :3] * light + GLASS_GLOW * surface[rows, columns, 3:]

    plant_mountain_forest(camera, canvas, depth, far, near, textures[2], forest, rng)
    return canvas, np.isfinite(depth).astype(np.float32)


def mountain_haze(camera, colour, x, y, z):
    """Fade colours into the air with distance; the air glows towards the sun."""
    thickness = np.exp(-np.maximum(z, 0) / 1500.0)
    amount = 1.0 - np.exp(-((np.asarray(y) / 13500.0) ** 1.25) * mix(0.45, 1.25, thickness))
    towards_sun = smoothstep(0.35, -0.75, np.asarray(x) / np.asarray(y))
    air = mix(rgb("8fb0d2") * 0.82, rgb("e8cfae") * 0.95, towards_sun[..., None] * 0.75)
    return mix(colour, air, np.asarray(amount)[..., None])


def plant_mountain_forest(camera, canvas, depth, far, near, clumps, forest, rng):
    """Scatter conifers over the slopes and the promontory, far ones first."""
    count = 85_000
    y = np.exp(rng.uniform(np.log(850), np.log(6000), count))
    x = rng.uniform(-0.62, 0.62, count) * y
    size = rng.uniform(15, 30, count) * np.where(y > 2500, 1.25, 1.0)
    z = far.height(x, y)
    tree_line = 780 + 120 * sample(clumps, x * 0.05, y * 0.05)
    dense = sample(clumps, x * 0.22, y * 0.22) + 0.7 * sample(clumps, x * 0.9, y * 0.9)
    keep = (z > 1.0) & (z < tree_line) & (dense > mix(-1.6, 0.8, np.clip(z / 900, 0, 1)))
    shadow = far.lookup(far.shadow, x, y)

    count = 800
    ny = rng.uniform(120, 320, count)
    nx = rng.uniform(20, 150, count)
    nz = near.height(nx, ny)
    clearing = ((nx - 52) / 26) ** 2 + ((ny - 150) / 34) ** 2 < 1
    near_keep = (nz > 1.6) & ~(clearing & (ny < 168))
    x, y, z, size, keep, shadow = (
        np.concatenate(pair)
        for pair in zip(
            (x, y, z, size, keep, shadow), (nx, ny, nz, rng.uniform(9, 25, count), near_keep, np.ones(count))
        )
    )
    kind = rng.integers(len(forest.kinds), size=len(x))
    tone = rng.uniform(0.75, 1.25, len(x))
    hue = rng.uniform(0, 1, len(x))
    order = np.argsort(-y)
    order = order[keep[order]]
    columns, rows = camera.project(x, y, z)
    tall = camera.focal * size / y
    for i in order:
        if tall[i] < 2.5:
            continue
        albedo = mix(rgb("24402b"), rgb("4f5a2c"), hue[i] ** 1.6) * tone[i]
        sun = 0.35 + 0.65 * shadow[i]
        dark = albedo * MOUNTAIN_SKYLIGHT * 0.55
        bright = albedo * (MOUNTAIN_SUNLIGHT * sun * 1.9 + MOUNTAIN_SKYLIGHT)
        dark, bright = mountain_haze(
            camera, np.stack([dark, bright]), np.full(2, x[i]), np.full(2, y[i]), np.full(2, z[i])
        )
        forest.plant(canvas, columns[i], rows[i] + 1, tall[i], kind[i], dark, bright, depth, y[i] * 0.985)


# --------------------------------------------------------------------------
# Content: harbour
# --------------------------------------------------------------------------

HARBOUR_SKY = {
    "zenith": rgb("4a6f9e") * 0.75,
    "middle": rgb("9fb2c0") * 0.85,
    "horizon": rgb("f2cfa0") * 0.9,
    "glow": rgb("ffa552") * 0.75,
    "cloud_lit": rgb("ffd9ae") * 1.05,
    "cloud_shade": rgb("8a8799") * 0.85,
}
HARBOUR_SUN = np.array([-0.80, -0.50, 0.42])
HARBOUR_SUNLIGHT = np.array([1.0, 0.72, 0.42], dtype=np.float32) * 2.3
HARBOUR_SKYLIGHT = np.array([0.38, 0.45, 0.62], dtype=np.float32) * 0.62
QUAY_DEPTH, QUAY_HEIGHT, QUAY_END = 66.0, 1.7, 34.0
HOUSE_COLOURS = [
    (206, 166, 104), (184, 104, 78), (216, 184, 148), (222, 208, 178), (160, 80, 66),
    (204, 144, 114), (142, 160, 168), (214, 192, 132), (182, 172, 150), (226, 218, 204),
    (126, 148, 138), (198, 128, 98),
]  # fmt: skip


def harbour_hill(rng):
    """Build the ground of the town: a quay, terraces and a hill behind."""
    size, cell = 640, 0.75
    x = np.arange(size, dtype=np.float32) * cell - 260
    y = np.arange(size, dtype=np.float32) * cell + 50
    x, y = np.meshgrid(x, y)
    rolling = fractal_noise(rng, size, size, 160, 6)
    rough = fractal_noise(rng, size, size, 26, 5)
    rise = np.clip(y - 84, 0, None)
    flank = smoothstep(78, -30, x - 0.12 * rise)
    hill = 62 * (1 - np.exp(-((rise / 150) ** 1.25))) * flank
    hill = hill * (1 + 0.16 * rolling * smoothstep(60, 160, rise)) + 0.5 * rough * smoothstep(10, 60, rise)
    coast = QUAY_END + 0.34 * rise + 4 * rough * smoothstep(2, 20, rise)
    inland = coast - x
    ground = QUAY_HEIGHT + hill
    ground = np.where(rise > 3, ground * smoothstep(-0.5, 9, inland), ground)
    heights = np.where((y > QUAY_DEPTH + 0.4) & (inland > 0) & (y < 500), ground, -2.0)
    return HeightField(heights, -260.0, 50.0, cell)


def harbour_coast(rng):
    """Build the hazy headlands across the bay."""
    size, cell = 520, 24.0
    x = (np.arange(size, dtype=np.float32) - size / 2) * cell
    y = np.arange(size, dtype=np.float32) * cell + 600
    x, y = np.meshgrid(x, y)
    ridges = ridged_noise(rng, size, size, 90, 6)
    rolling = fractal_noise(rng, size, size, 60, 6)
    heights = np.zeros_like(x)
    for cx, cy, tall, wide, deep in (
        (1500, 2600, 260, 620, 500),
        (2500, 3600, 480, 1000, 800),
        (900, 5200, 520, 1500, 900),
        (3600, 6200, 760, 1700, 1200),
        (-1500, 5600, 600, 1600, 1200),
        (400, 8500, 900, 2600, 1500),
    ):
        bump = np.exp(-(((x - cx) / wide) ** 2) - ((y - cy) / deep) ** 2)
        heights = np.maximum(heights, tall * bump)
    heights = heights * (0.65 + 0.7 * ridges + 0.12 * rolling) - 28 + 5 * rolling
    return HeightField(heights, -size / 2 * cell, 600.0, cell)


def harbour_town(rng, hill):
    """Return the faces of all buildings and of the quay."""
    faces = []
    k = 14
    columns, rows = int((QUAY_END + 90) * k), int((QUAY_HEIGHT + 0.8) * k)
    stone = np.exp(0.2 * rng.standard_normal((rows // 7 + 1, columns // 14 + 2)))
    row, column = np.mgrid[0:rows, 0:columns]
    shift = (row // 7 % 2) * 7
    blocks = stone[row // 7, (column + shift) // 14]
    blocks = blocks * np.where((row % 7 == 0) | ((column + shift) % 14 == 0), 0.55, 1.0)
    wall = textured(Image.new("RGB", (columns, rows), (150, 136, 116)), rng, 0.2)
    wet = mix(0.35, 1.0, smoothstep(QUAY_HEIGHT - 0.2, QUAY_HEIGHT - 0.9, row / k))
    wall[..., :3] *= (blocks * wet)[..., None]
    a, b = [-90.0, QUAY_DEPTH, QUAY_HEIGHT], [QUAY_END, QUAY_DEPTH, QUAY_HEIGHT]
    faces.append(parallelogram(wall, np.array(a), np.array(b), np.array([a[0], a[1], -0.8])))
    faces.append(
        parallelogram(
            wall, np.array(b), np.array([QUAY_END, 90.0, QUAY_HEIGHT]), np.array([b[0], b[1], -0.8])
        )
    )
    coping = textured(Image.new("RGB", (columns, 12), (186, 172, 148)), rng, 0.2)
    faces.append(parallelogram(coping, np.array(a), np.array(b), np.array(a) + [0, 1.0, 0.03]))

    last = None
    for level in range(8):
        y = 77 + 14.5 * level + 0.8 * level**1.3
        x = -0.72 * y - rng.uniform(0, 6)
        limit = QUAY_END - 9 + 0.12 * (y - 77) if level < 4 else 24 - 9 * (level - 4)
        while x < limit:
            width = rng.uniform(6.5, 10.5)
            storeys = int(rng.integers(3, 5)) if level == 0 else int(rng.integers(2, 4))
            if not (level and rng.random() < 0.13):
                base = HOUSE_COLOURS[rng.integers(len(HOUSE_COLOURS))]
                while base == last:
                    base = HOUSE_COLOURS[rng.integers(len(HOUSE_COLOURS))]
                last = base
                tint = rng.normal(0, 6, 3)
                base = tuple(int(np.clip(c + t, 20, 250)) for c, t in zip(base, tint))
                middle = x + width / 2
                front = y + rng.uniform(-1.5, 1.5) * (level > 0)
                ground = float(hill.height(np.array([middle]), np.array([front + 1.0]))[0])
                yaw = rng.normal(0, 0.05 if level == 0 else 0.22)
                faces += house(
                    rng, middle, front, ground - 0.1, width * 0.98, rng.uniform(7.5, 10),
                    2.75 * storeys + rng.uniform(0, 0.8), rng.uniform(2.4, 4.2), yaw, base,
                    storeys, rng.random() < 0.62, rng.random() < 0.2,
                )  # fmt: skip
            x += width + (rng.uniform(0.0, 0.5) if level == 0 else rng.uniform(0.2, 3.0))

    # The church: a nave like a house, and a tower with a steep spire.
    cx, cy = -7.0, 133.0
    cz = float(hill.height(np.array([cx]), np.array([cy]))[0])
    faces += house(rng, cx + 10, cy, cz, 12, 20, 9.0, 5.5, 0.12, (232, 222, 200), 1, True)
    tower = wall_texture(rng, 6, 23, (228, 214, 188), 5)
    faces += box(tower, -3, 3, -3, 3, 0, 23, cx, cy, cz, 0.12)
    slate = roof_texture(rng, 6.8, 13, True)
    top = np.array([cx, cy, cz + 36.0])
    corners = [
        place([sx * 3.4, sy * 3.4, 23.0], cx, cy, cz, 0.12) for sx, sy in ((-1, -1), (1, -1), (1, 1), (-1, 1))
    ]
    for first, second in zip(corners, corners[1:] + corners[:1]):
        faces.append(Face(first, second - first, top - first, slate, True))
    faces += post(plain(rgb("c8a24a")), top - [0, 0, 0.5], top + [0, 0, 2.4], 0.25)

    # A breakwater with a lighthouse closes the basin on the right.
    rubble = textured(Image.new("RGB", (420, 60), (118, 106, 92)), rng, 0.5)
    faces += box(rubble, -16, 60, -2.2, 2.2, -0.6, 1.9, 62, 104, 0, 0.05)
    for z0, z1, radius, colour in (
        (1.9, 5.2, 1.9, "e9e1d0"),
        (5.2, 8.0, 1.65, "b23a2c"),
        (8.0, 11.0, 1.45, "e9e1d0"),
        (11.0, 11.4, 1.9, "3c3a3a"),
        (11.4, 13.2, 0.9, "ffe2a0"),
        (13.2, 13.7, 1.2, "b23a2c"),
    ):
        skin = textured(Image.new("RGB", (40, 60)), rng, 0.1)
        skin[..., :3] = rgb(colour)
        skin[..., 4] = 0.8 if colour == "ffe2a0" else 0.0
        for turn in range(3):
            faces += box(
                skin,
                -radius,
                radius,
                -radius * 0.58,
                radius * 0.58,
                z0,
                z1,
                48.5,
                103.4,
                0,
                turn * math.pi / 3,
            )

    for _ in range(26):
        x, y = rng.uniform(-46, QUAY_END - 3), rng.uniform(QUAY_DEPTH + 1.5, QUAY_DEPTH + 6)
        size = rng.uniform(0.35, 0.75)
        shade = rgb(["8a5f38", "3f6a78", "a84a34", "6d6a5c"][rng.integers(4)])
        faces += box(
            plain(shade), -size, size, -size, size, 0, size * 1.5, x, y, QUAY_HEIGHT, rng.uniform(0, 1.5)
        )
    for x in np.arange(-46, QUAY_END, 13.0):
        faces += post(
            plain(rgb("2c2a28")), [x, QUAY_DEPTH + 2, QUAY_HEIGHT], [x, QUAY_DEPTH + 2, QUAY_HEIGHT + 5], 0.16
        )
        lamp = plain(rgb("ffdf9a"))
        lamp[..., 4] = 1.0
        faces += box(lamp, -0.25, 0.25, -0.25, 0.25, 4.8, 5.4, x, QUAY_DEPTH + 2, QUAY_HEIGHT, 0)
    return faces


def harbour_boats(rng):
    """Return the faces of the boats in the basin."""
    fleet = [
        (-13.5, 34.0, 0.32, 10.5, ("1f4e6e", "d9cdb0", "a8794a"), 9.0, True),
        (9.0, 40.0, 2.75, 9.0, ("e8e0cf", "a8352a", "b08a5c"), 12.5, False),
        (-27.0, 47.0, 0.15, 9.5, ("b23b2c", "e8dcc0", "9c7448"), 8.0, True),
        (24.0, 49.0, 0.42, 10.5, ("efe8da", "2f5d7c", "b58f62"), 14.5, False),
        (-4.5, 29.5, 0.45, 5.0, ("d9a441", "3e5d4a", "7a5536"), 0.0, False),
        (15.0, 32.0, -0.4, 4.4, ("2f6a66", "e3d7bc", "7a5536"), 0.0, False),
    ]
    colours = ["efe8da", "27506b", "a83a2c", "e9dfc6", "3d6b5c", "d7a94f"]
    for x in np.arange(-44, QUAY_END - 3, 6.2):
        pick = rng.permutation(len(colours))
        paint = (colours[pick[0]], colours[pick[1]], "a8845a")
        sail = rng.random() < 0.6
        x, y = x + rng.uniform(-1, 1), 60.5 + rng.uniform(-2.0, 0.8)
        # Sailing boats lie with their bows to the quay, fishing boats alongside.
        if sail:
            yaw, length = rng.normal(-1.45, 0.12), rng.uniform(7, 9.5)
            mast = rng.uniform(10, 14.5)
        else:
            yaw, length = rng.normal(0.05, 0.08), rng.uniform(5.5, 7)
            mast = rng.uniform(4.5, 6.5)
        fleet.append((x, y, yaw, length, paint, mast, not sail))
    faces = []
    for x, y, yaw, length, paint, mast, cabin in fleet:
        faces += boat(rng, x, y, yaw, length, paint, mast, cabin)
    return faces


def draw_harbour(rng):
    """Draw a harbour town climbing a hill in the light of a low sun."""
    width, height = (side * OVERSAMPLING for side in CONTENT_SIZE)
    camera = Camera(width, height, focal=1560.0, horizon=760.0, eye=8.5)
    hill = harbour_hill(rng).lit_by(HARBOUR_SUN)
    coast = harbour_coast(rng).lit_by(HARBOUR_SUN)
    faces = harbour_town(rng, hill) + harbour_boats(rng)
    shadows = ShadowMap(SunView(HARBOUR_SUN, (-10, 105, 15), 210.0, 1700), faces)
    textures = [tiling_noise(rng, 1024, slope) for slope in (0.8, 1.4)]
    forest = Forest([conifer_sprite(rng) for _ in range(3)] + [broadleaf_sprite(rng) for _ in range(5)])
    seed = rng.integers(1 << 32)

    def scene(view):
        local = np.random.default_rng(seed)
        sky = paint_sky(camera, local, -0.05 * width, 640, HARBOUR_SKY, cover=0.05)
        return paint_harbour_scene(view, sky, hill, coast, faces, shadows, textures, forest, local)

    image, land = scene(camera)
    reflection = fill_below_shore(*scene(camera.mirrored()))
    water, first = paint_water(camera, rng, reflection, rgb("123a40") * 0.7, 0.0105)
    image[first:] = mix(water, image[first:], land[first:, :, None])
    return grade(tonemap(image, 0.92), 0.98, 0.15, 0.012, rng)


def harbour_haze(colour, x, y):
    """Fade colours into warm air with distance."""
    amount = 1.0 - np.exp(-np.asarray(y) / 4800.0)
    towards_sun = smoothstep(0.5, -0.7, np.asarray(x) / np.asarray(y))
    air = mix(rgb("a9b4c0") * 0.85, rgb("f0c795"), towards_sun[..., None] * 0.8)
    return mix(colour, air, amount[..., None])


def paint_harbour_scene(camera, sky, hill, coast, faces, shadows, textures, forest, rng):
    """Paint everything above the water; also return the coverage of the land."""

    def field_height(x, y):
        return np.where(y < 520, hill.height(x, y), coast.height(x, y))

    ground_depth = cast_height_field(
        camera, field_height, ((52.0, 500.0, 600), (600.0, 12500.0, 700)), floor=0.02
    )
    depth = ground_depth.astype(np.float64)
    surface = np.zeros((camera.height, camera.width, 4), dtype=np.float32)
    normals = np.zeros((camera.height, camera.width, 3), dtype=np.float32)

    rows, columns = np.nonzero(np.isfinite(depth))
    y = ground_depth[rows, columns]
    x = ((columns + 0.5 - camera.width / 2) / camera.focal * y).astype(np.float32)
    z = field_height(x, y)
    in_town = y < 520
    step = np.maximum(np.where(in_town, 0.6, 12.0), y / camera.focal * 1.5)
    normals[rows, columns] = ground_normals(field_height, x, y, step)
    coarse, smooth = textures
    fine = sample(coarse, x * 5, y * 2.5 + z * 6)
    patch = sample(smooth, x * 1.3, y * 1.3)
    turf = mix(rgb("343d1c"), rgb("9a8a4c"), smoothstep(-1.5, 1.8, fine + 0.8 * patch)[:, None])
    rock = mix(rgb("4a4038"), rgb("a8957c"), smoothstep(-1.5, 1.5, fine)[:, None])
    paving = mix(rgb("7c6f60"), rgb("b5a68e"), smoothstep(-1.8, 1.8, fine + 0.5 * patch)[:, None])
    steep = 1.0 - normals[rows, columns][:, 2]
    town_ground = mix(turf, rock, smoothstep(0.2, 0.4, steep + 0.05 * fine)[:, None])
    town_ground = mix(town_ground, paving, smoothstep(5.0, 2.5, z)[:, None] * (x < QUAY_END + 2)[:, None])
    far = 0.6 * sample(coarse, x * 0.09, y * 0.05 + z * 0.1) + 0.8 * sample(
        coarse, x * 0.33, y * 0.12 + z * 0.4
    )
    far_ground = mix(
        rgb("2f3d22"),
        rgb("8a7f50"),
        smoothstep(-1.4, 1.8, far + 0.5 * sample(smooth, x * 0.06, y * 0.06))[:, None],
    )
    surface[rows, columns, :3] = np.where(in_town[:, None], town_ground, far_ground)
    sunny = np.where(in_town, hill.lookup(hill.shadow, x, y), coast.lookup(coast.shadow, x, y))
    shade = np.ones((camera.height, camera.width), dtype=np.float32)
    shade[rows, columns] = sunny

    rasterise(EyeView(camera), faces, depth, surface, normals)
    built = depth < ground_depth
    shade[built] = 1.0

    rows, columns = np.nonzero(np.isfinite(depth))
    y = depth[rows, columns]
    x = (columns + 0.5 - camera.width / 2) / camera.focal * y
    z = camera.eye + (camera.horizon - rows - 0.5) / camera.focal * y
    points = np.stack([x, y, z], axis=-1)
    normal = normals[rows, columns]
    lit = shade[rows, columns] * np.where(y < 300, shadows.lit(points + 0.12 * normal), 1.0)
    facing = np.clip(normal @ (HARBOUR_SUN / np.linalg.norm(HARBOUR_SUN)), 0, None)
    sky_share = mix(0.62, 1.05, normal[:, 2] * 0.5 + 0.5)
    bounce = np.array([0.30, 0.22, 0.14], dtype=np.float32) * np.clip(0.6 - 0.5 * normal[:, 2], 0, 1)[:, None]
    light = HARBOUR_SUNLIGHT * (facing * lit)[:, None] + HARBOUR_SKYLIGHT * sky_share[:, None] + bounce * 0.5
    colour = surface[rows, columns, :3] * light + GLASS_GLOW * surface[rows, columns, 3:]
    canvas = sky.copy()
    canvas[rows, columns] = harbour_haze(colour, x, y)

    plant_harbour_trees(camera, canvas, depth, hill, shadows, forest, rng)
    return canvas, np.isfinite(depth).astype(np.float32)


def plant_harbour_trees(camera, canvas, depth, hill, shadows, forest, rng):
    """Plant gardens between the houses and woods on top of the hill."""
    count = 5200
    y = np.concatenate([rng.uniform(92, 190, 420), rng.uniform(185, 420, count - 420)])
    x = rng.uniform(-0.68, 0.5, count) * y
    z = hill.height(x, y)
    dense = fractal_noise(rng, 64, 64, 14, 3)
    clump = sample(dense, (x + 300) * 0.16, y * 0.16)
    keep = (z > 5.0) & ((y < 190) | (clump > -0.9))
    size = np.where(y < 190, rng.uniform(3.0, 7.5, count), rng.uniform(6, 12, count))
    conifer = rng.random(count) < 0.22
    kind = np.where(conifer, rng.integers(0, 3, count), rng.integers(3, 8, count))
    size = np.where(conifer, size * 1.35, size)
    lit = shadows.lit(np.stack([x, y, z + 0.6 * size], axis=-1), bias=1.0)
    tone, hue = rng.uniform(0.7, 1.25, count), rng.random(count)
    columns, rows = camera.project(x, y, z)
    order = np.argsort(-y)
    for i in order[keep[order]]:
        albedo = mix(rgb("33481f"), rgb("6b6a2c"), hue[i]) * tone[i]
        dark = albedo * HARBOUR_SKYLIGHT * 0.5
        bright = albedo * (HARBOUR_SUNLIGHT * (0.2 + 0.8 * lit[i]) * 1.5 + HARBOUR_SKYLIGHT)
        dark, bright = harbour_haze(np.stack([dark, bright]), np.full(2, x[i]), np.full(2, y[i]))
        forest.plant(
            canvas,
            columns[i],
            rows[i] + 2,
            camera.focal * size[i] / y[i],
            kind[i],
            dark,
            bright,
            depth,
            y[i] - 1.0,
        )


# --------------------------------------------------------------------------
# Styles
# --------------------------------------------------------------------------


def ramp(colours, t):
    """Look up display colours (`rrggbb` codes, evenly spaced) at t in 0..1."""
    table = np.stack([rgb(colour) ** (1 / 2.2) for colour in colours])
    position = np.clip(t, 0, 1) * (len(colours) - 1)
    low = np.minimum(position.astype(int), len(colours) - 2)
    return mix(table[low], table[low + 1], (position - low)[..., None])


def emboss(height, strength, shine=0.25, angle=(-0.6, -0.7)):
    """Return diffuse shading around 1 and a specular term for a paint relief."""
    dy, dx = np.gradient(height.astype(np.float32))
    slope = np.stack([-dx * strength, -dy * strength, np.ones_like(dx)], axis=-1)
    slope /= np.linalg.norm(slope, axis=-1, keepdims=True)
    light = np.array([angle[0], angle[1], 0.75])
    light /= np.linalg.norm(light)
    diffuse = slope @ light / light[2]
    half = light + [0.0, 0.0, 1.0]
    gloss = np.clip(slope @ (half / np.linalg.norm(half)), 0, 1) ** 40
    flat = (half[2] / np.linalg.norm(half)) ** 40
    return diffuse[..., None], shine * np.clip(gloss - flat, 0, 1)[..., None]


def vortex_field(rng, width, height):
    """Return a flow (u, v), and 0..1 tones that follow its swirls.

    The tones are a function of the stream function, so that the colours change
    across the strokes and never along them.
    """
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    wobble = fractal_noise(rng, width, height, 520, 2)
    stream = 0.42 * (y - 0.25 * x) + 55 * wobble
    cores = [
        (0.27, 0.30, 235, 1.0),
        (0.76, 0.22, 165, -0.9),
        (0.60, 0.68, 250, -1.0),
        (0.12, 0.80, 180, 0.9),
        (0.95, 0.74, 150, 0.85),
        (0.50, 0.03, 110, -0.7),
        (0.33, 0.98, 140, -0.8),
    ]
    centre = np.zeros_like(x)
    for cx, cy, radius, spin in cores:
        away = np.hypot(x - cx * width, y - cy * height) / radius
        stream += spin * 1.25 * radius * np.exp(-(away**1.6))
        centre = np.maximum(centre, np.exp(-((away / 0.24) ** 4)))
    dy, dx = np.gradient(stream)
    norm = np.hypot(dx, dy) + 1e-4
    tone = 0.47 + 0.36 * np.sin(stream / 30.0) + 0.12 * np.sin(stream / 77.0 + 1.0)
    return dy / norm, -dx / norm, np.clip(mix(tone, 0.96, centre), 0, 1)


def draw_swirls(rng):
    """Paint thick curved strokes that follow a field of vortices."""
    width, height = (side * OVERSAMPLING for side in STYLE_SIZE)
    flow_u, flow_v, tone = vortex_field(rng, width, height)
    hue = fractal_noise(rng, width, height, 380, 3)
    cold = ["0a1838", "12306a", "1d4f8e", "2a7c9c", "5aa9a6", "b9d2b4", "f2e8c4", "fbf3d8"]
    warm = ["10193a", "1b3566", "2c5c84", "6c8a6a", "c29a3a", "e2b13f", "f3d98a", "fdf0cc"]
    ground = mix(ramp(cold, tone * 0.7), ramp(warm, tone * 0.7), smoothstep(-0.3, 0.5, hue)[..., None])
    paint = Image.fromarray((ground * 255).astype(np.uint8))
    relief = Image.new("L", (width, height), 40)
    brush, bump = ImageDraw.Draw(paint), ImageDraw.Draw(relief)
    layers = [(1300, 42, 15, 9.0), (2600, 30, 14, 7.5), (3000, 21, 12, 6.5), (700, 11, 12, 6.0)]
    for layer, (count, thick, steps, stride) in enumerate(layers):
        px, py = rng.uniform(-20, width + 20, count), rng.uniform(-20, height + 20, count)
        t = sample(tone, np.clip(px, 0, width - 2), np.clip(py, 0, height - 2))
        t = t + rng.normal(0, 0.06, count)
        warmth = smoothstep(
            -0.3,
            0.5,
            sample(hue, np.clip(px, 0, width - 2), np.clip(py, 0, height - 2)) + rng.normal(0, 0.35, count),
        )
        colour = mix(ramp(cold, t), ramp(warm, t), warmth[:, None])
        colour += rng.normal(0, 0.03, (count, 3))
        path, across = [], []
        for _ in range(steps):
            cx, cy = np.clip(px, 0, width - 2), np.clip(py, 0, height - 2)
            u, v = sample(flow_u, cx, cy), sample(flow_v, cx, cy)
            path.append(np.stack([px, py], axis=-1))
            across.append(np.stack([-v, u], axis=-1))
            px, py = px + u * stride, py + v * stride
        path, across = np.stack(path, axis=1), np.stack(across, axis=1)
        along = np.linspace(-1, 1, steps)
        # A loaded brush lands round, and runs out towards the end of the stroke.
        pressure = np.clip(1 - np.abs(along) ** 3, 0.15, 1) * mix(1.0, 0.75, (along + 1) / 2)
        bristles = max(5, int(thick / 2.4))
        for stroke in range(count):
            size = thick * rng.uniform(0.65, 1.2)
            streak = np.convolve(rng.normal(0, 1, bristles + 2), [0.25, 0.5, 0.25], "valid")
            for bristle in rng.permutation(bristles):
                offset = (bristle + 0.5) / bristles * 2 - 1
                edge = math.sqrt(1 - offset * offset * 0.9)
                trim = int(rng.integers(0, 3)) + int((1 - edge) * 3)
                points = path[stroke] + across[stroke] * (offset * size / 2 * pressure)[:, None]
                points = points[trim : steps - trim]
                shade = colour[stroke] * (1 + 0.11 * streak[bristle]) + 0.02 * streak[bristle]
                fill = tuple(int(c) for c in np.clip(shade * 255, 0, 255))
                flat = [tuple(point) for point in points]
                line = max(2, int(size / bristles * 1.7))
                brush.line(flat, fill=fill, width=line, joint="curve")
                bump.line(
                    flat,
                    fill=int(np.clip(95 + 75 * edge + 26 * streak[bristle] + 8 * layer, 0, 255)),
                    width=line,
                )
    colour = np.asarray(paint, dtype=np.float32) / 255.0
    thickness = blur(np.asarray(relief, dtype=np.float32) / 255.0, 1)
    diffuse, gloss = emboss(thickness, 7.0, 0.34)
    return grade(colour * mix(1.0, diffuse, 0.55) + gloss, 1.08, 0.12)


def draw_mosaic(rng):
    """Lay glass tesserae in rings around overlapping medallions."""
    width, height = (side * OVERSAMPLING for side in STYLE_SIZE)
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    x = x + 26 * value_noise(rng, width, height, 430)
    y = y + 26 * value_noise(rng, width, height, 430)
    # (centre x, centre y, radius, palette, size of the tesserae); later ones lie on top.
    ruby = ["4a0a18", "8e1424", "c22a2c", "e0552e", "f2a23c", "f9dc8a"]
    gold = ["3a1a08", "8a4a10", "cf8a1c", "f0bd3c", "f8e2a0", "fff4d0"]
    teal = ["04222e", "0b4a58", "14808a", "4ab0a0", "a8d8b8", "f2ecc8"]
    royal = ["0c0c34", "20257a", "3a4fb4", "6a86cc", "c0b8d8", "f4dcb0"]
    plum = ["210a2a", "541a54", "8c2f6c", "c8586a", "f0a070", "f8dca8"]
    discs = [
        (0.50, 2.10, 1e5, royal, 25.0),
        (0.06, 0.16, 250, plum, 23.0),
        (0.97, 0.95, 330, ruby, 24.0),
        (0.80, 0.10, 250, teal, 22.0),
        (0.10, 0.93, 260, teal, 22.0),
        (0.56, 0.92, 175, gold, 20.0),
        (0.98, 0.42, 150, gold, 20.0),
        (0.40, 0.42, 330, ruby, 22.0),
        (0.70, 0.60, 165, royal, 19.0),
        (0.40, 0.42, 150, gold, 18.0),
    ]
    colour = np.zeros((height, width, 3), dtype=np.float32)
    border = np.full((height, width), 1e3, dtype=np.float32)
    inner = np.zeros((height, width), dtype=np.float32)
    tilt = np.zeros((height, width, 2), dtype=np.float32)
    for cx, cy, radius, palette, tile in discs:
        background = radius == 1e5
        radius = radius if background else round(radius / tile) * tile
        dx, dy = x - cx * width, y - cy * height
        away, angle = np.hypot(dx, dy), np.arctan2(dy, dx) / (2 * math.pi) % 1.0
        inside = away < radius
        away, angle = away[inside], angle[inside]
        ring = np.floor(away / tile)
        rings = int(ring.max()) + 3
        counts = np.maximum(
            4, np.round(2 * math.pi * (np.arange(rings) + 0.5) * rng.uniform(0.8, 1.12, rings))
        )
        shift = rng.random(rings)
        jitter = rng.uniform(-0.2, 0.2, (2, 1 << 16))
        nearest = np.full(away.shape, 1e9, dtype=np.float32)
        second = nearest.copy()
        owner = np.zeros(away.shape, dtype=np.int64)
        owner_ring = np.zeros(away.shape, dtype=np.int64)
        for step in (-1, 0, 1):
            k = np.clip(ring + step, 0, rings - 1).astype(np.int64)
            n = counts[k]
            cell = np.floor(angle * n - shift[k])
            for turn in (-1, 0, 1):
                j = (cell + turn) % n
                key = (k * 7919 + j.astype(np.int64) * 104729) % (1 << 16)
                seed_r = (k + 0.5 + 0.5 * jitter[0, key]) * tile
                seed_a = (j + shift[k] + 0.5 + jitter[1, key]) / n
                turn_angle = (angle - seed_a + 0.5) % 1.0 - 0.5
                du = turn_angle * 2 * math.pi * away
                # Keeping to the ring is dearer than moving along it: rows stay rows.
                distance = np.hypot(du, (away - seed_r) * 1.15).astype(np.float32)
                distance = np.where(ring + step < 0, 1e9, distance)
                closer = distance < nearest
                second = np.where(closer, nearest, np.minimum(second, distance))
                nearest = np.where(closer, distance, nearest)
                owner, owner_ring = np.where(closer, key, owner), np.where(closer, k, owner_ring)
        gap = (second - nearest) * 0.5
        band = rng.normal(0, 0.10, rings + 1)
        last = min(radius, 1700.0) / tile
        wave = 0.5 + 0.42 * np.sin(
            owner_ring * (0.62 if background else 2 * math.pi / max(5.0, last / 1.6)) + cx * 9
        )
        noise = rng.standard_normal((4, 1 << 16)).astype(np.float32)
        t = wave + band[owner_ring] + 0.11 * noise[0, owner]
        odd = noise[1, owner] > 1.75
        chosen = ramp(palette, t)
        chosen[odd] = ramp(gold, 0.45 + 0.25 * noise[2, owner])[odd]
        chosen *= np.exp(0.10 * noise[3, owner])[:, None]
        colour[inside] = chosen
        border[inside] = gap
        inner[inside] = nearest / tile
        tilt[inside] = np.stack([noise[1, owner], noise[2, owner]], axis=-1) * 0.07
        if not background:
            rim = radius - np.hypot(dx, dy)
            border = np.where(inside, np.minimum(border, rim), np.minimum(border, -rim))
    fine = fractal_noise(rng, width, height, 9, 4, 0.6)
    veins = fractal_noise(rng, width, height, 46, 5, 0.6)
    edge = border + 0.5 * fine
    dome = smoothstep(0.2, 5.0, edge)
    relief = dome + 0.03 * fine
    diffuse, gloss = emboss(relief, 2.3, 0.45)
    slanted = 1 + tilt @ np.array([-0.9, -1.1], dtype=np.float32)
    glass = colour * (1.22 - 0.36 * inner + 0.10 * veins + 0.05 * fine)[..., None] * slanted[..., None]
    glass = glass * mix(1.0, diffuse, 0.75) + gloss
    grout = (np.array([0.20, 0.17, 0.15]) * (1 + 0.35 * fine[..., None])).astype(np.float32)
    return grade(mix(grout, glass, smoothstep(0.5, 1.8, edge)[..., None]), 1.08, 0.1)


def stamp_stroke(canvas, relief, rng, centre, angle, length, thick, bend, first, second, load):
    """Drag one broad dry brush or knife over the canvas.

    The bristles carry two colours; where the paint runs thin they skip.
    """
    height, width = relief.shape
    reach = math.hypot(length, thick) * 0.62 + abs(bend)
    x0, x1 = max(int(centre[0] - reach), 0), min(int(centre[0] + reach), width)
    y0, y1 = max(int(centre[1] - reach), 0), min(int(centre[1] + reach), height)
    if x1 - x0 < 4 or y1 - y0 < 4:
        return
    x, y = np.meshgrid(
        np.arange(x0, x1, dtype=np.float32) - centre[0], np.arange(y0, y1, dtype=np.float32) - centre[1]
    )
    c, s = math.cos(angle), math.sin(angle)
    u = (x * c + y * s) / (length / 2)
    v = (-x * s + y * c - bend * (u * u - 0.4)) / (thick / 2)
    cells = max(10, int(thick / 2.6))
    bristle = resize(rng.standard_normal((cells, 4)), 64, cells * 4)
    slow = resize(rng.standard_normal((max(4, cells // 5), 5)), 64, cells * 4)
    tu, tv = (
        np.clip((u + 1.3) / 2.6 * 63, 0, 62),
        np.clip((v + 1.1) / 2.2 * (cells * 4 - 1), 0, cells * 4 - 2),
    )
    hair, streak = sample(bristle, tu, tv), sample(slow, tu, tv)
    ends = 1.0 + 0.10 * hair + 0.05 * streak
    shape = (
        smoothstep(1.0, 0.93, np.abs(v) + 0.05 * streak)
        * smoothstep(-ends, -ends + 0.06, u)
        * smoothstep(ends, ends - 0.06, u)
    )
    run_out = load - 0.75 * smoothstep(-0.3, 1.1, u) + 0.5 * hair + 0.25 * streak
    alpha = shape * smoothstep(-0.12, 0.12, run_out)
    blend = smoothstep(-0.9, 0.9, streak + 0.45 * hair + 0.5 * v)[..., None]
    colour = mix(first, second, blend) * (1 + 0.09 * hair)[..., None]
    region = canvas[y0:y1, x0:x1]
    region += alpha[..., None] * (colour - region)
    body = 0.55 + 0.28 * hair + 0.5 * smoothstep(0.7, 0.95, np.abs(v)) + 0.4 * smoothstep(0.8, 1.0, u)
    layer = relief[y0:y1, x0:x1]
    layer += alpha * (0.35 * layer + body - layer)


def draw_strokes(rng):
    """Paint broad dry-brush and knife strokes, warm against cool, on canvas."""
    width, height = (side * OVERSAMPLING for side in STYLE_SIZE)
    row, column = np.mgrid[0:height, 0:width].astype(np.float32)
    weave = np.sin(column * math.pi / 3) * np.sign(np.sin(row * math.pi / 6)) + np.sin(
        row * math.pi / 3
    ) * np.sign(np.sin(column * math.pi / 6))
    weave += 0.5 * rng.standard_normal((height, width)).astype(np.float32)
    canvas = np.empty((height, width, 3), dtype=np.float32)
    canvas[:] = rgb("9c5a3c") ** (1 / 2.2)
    relief = np.zeros((height, width), dtype=np.float32)
    warm = ["5c1420", "a32a22", "d9482b", "ee7a2e", "f5ab3d", "f7d57a", "fbeed0"]
    cool = ["0c1a3a", "153c6c", "1f6a8e", "2c938f", "7cc0b4", "cfe0d2", "f6f1e2"]
    region = fractal_noise(rng, width, height, 620, 2)
    tone = fractal_noise(rng, width, height, 430, 3)
    turn = fractal_noise(rng, width, height, 700, 2)
    slope = (column / width - 0.5) * 1.1 - (row / height - 0.5) * 1.3
    for count, length, thick, load, spread in (
        (90, 420, 150, 1.1, 0.35),
        (150, 310, 100, 0.8, 0.5),
        (170, 230, 62, 0.6, 0.6),
        (80, 160, 30, 0.5, 0.8),
    ):
        for _ in range(count):
            x, y = rng.uniform(0, width - 1), rng.uniform(0, height - 1)
            r, c = int(y), int(x)
            side = smoothstep(-0.25, 0.25, 0.6 * region[r, c] + slope[r, c] + rng.normal(0, 0.22))
            if rng.random() < 0.07:
                side = 1.0 - side
            t = np.clip(0.44 + 0.25 * tone[r, c] + rng.normal(0, 0.12), 0, 1)
            t2 = np.clip(t + rng.normal(0.06, 0.13), 0, 1)
            first = mix(ramp(cool, np.array(t)), ramp(warm, np.array(t)), round(float(side)))
            second = mix(ramp(cool, np.array(t2)), ramp(warm, np.array(t2)), round(float(side)))
            angle = -0.7 + 1.1 * turn[r, c] + rng.normal(0, spread)
            size = (length * rng.uniform(0.6, 1.3), thick * rng.uniform(0.6, 1.25))
            bend = rng.normal(0, 0.09) * length
            paint = (first, second, load * rng.uniform(0.7, 1.3))
            stamp_stroke(canvas, relief, rng, (x, y), angle, *size, bend, *paint)
    # Thick paint hides the weave, thin paint lets it through.
    thin = smoothstep(0.9, 0.1, relief)
    surface = blur(relief, 1) + weave * (0.026 + 0.07 * thin)
    diffuse, gloss = emboss(surface, 1.9, 0.22)
    canvas = canvas * (1 + 0.025 * weave * (0.4 + thin))[..., None]
    return grade(canvas * mix(1.0, diffuse, 0.6) + gloss, 1.05, 0.12)


# --------------------------------------------------------------------------
# Command line
# --------------------------------------------------------------------------

PICTURES = {
    "mountains": (draw_mountains, "content/mountains.jpg", CONTENT_SIZE, 11),
    "harbour": (draw_harbour, "content/harbour.jpg", CONTENT_SIZE, 22),
    "swirls": (draw_swirls, "styles/swirls.jpg", STYLE_SIZE, 33),
    "mosaic": (draw_mosaic, "styles/mosaic.jpg", STYLE_SIZE, 44),
    "strokes": (draw_strokes, "styles/strokes.jpg", STYLE_SIZE, 55),
}


def main():
    """Draw the pictures named on the command line, by default all of them."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", metavar="name", help=f"among {', '.join(PICTURES)}")
    parser.add_argument("--output_root", type=Path, default=REPOSITORY_ROOT)
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(PICTURES)
    if unknown:
        parser.error(f"unknown picture: {', '.join(sorted(unknown))}")
    for name in arguments.names or list(PICTURES):
        draw, path, size, seed = PICTURES[name]
        start = time.perf_counter()
        save(draw(np.random.default_rng(seed)), arguments.output_root / path, size)
        print(f"{path}: {time.perf_counter() - start:.1f} s")


if __name__ == "__main__":
    main()
