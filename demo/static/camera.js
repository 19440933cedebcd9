// A webcam in style: the newest frame wins, and none waits.

import * as engine from "./engine.js";

export class Camera {
  constructor(video, canvas, rated) {
    this.video = video;
    this.canvas = canvas;
    this.rated = rated;
    this.grabbed = document.createElement("canvas");
    this.shown = [];
    this.flying = new Set(); // numbers of frames that have not come back
    this.number = this.newest = 0;
    engine.on("frame", (message, data) => this.show(data, message));
  }

  get running() {
    return Boolean(this.stream);
  }

  // "quick" says whether small networks paint.
  async start(recipe, quick) {
    this.stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "user", width: { ideal: 1280 } } });
    this.video.srcObject = this.stream;
    await this.video.play();
    this.quick = quick;
    this.setRecipe(recipe);
    this.atOnce = 1;
    this.flying.clear();
    this.grab();
  }

  stop() {
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    this.stream = null;
    engine.stop();
  }

  setRecipe(recipe) {
    if (!this.running) return;
    const width = engine.frameWidth(this.quick());
    const height = Math.round((width * this.video.videoHeight) / this.video.videoWidth);
    if (this.grabbed.width !== width || this.grabbed.height !== height) Object.assign(this.grabbed, { width, height });
    this.shown = [];
    engine.setLive(recipe);
  }

  // As many frames as are painted at once, and one that travels meanwhile.
  grab() {
    while (this.running && this.flying.size <= this.atOnce) {
      this.draw(this.grabbed);
      this.flying.add(++this.number);
      engine.paintFrame(this.grabbed, this.number);
    }
    clearTimeout(this.patience);
    if (this.running) this.patience = setTimeout(() => (this.flying.clear(), this.grab()), 2000); // none came back
  }

  // Mirrored, as one knows oneself.
  draw(canvas) {
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.setTransform(-1, 0, 0, 1, canvas.width, 0);
    context.drawImage(this.video, 0, 0, canvas.width, canvas.height);
  }

  async show(data, { number, at_once: atOnce = 1, enlarged = 1 }) {
    if (!this.running) return;
    this.atOnce = atOnce;
    for (const other of this.flying) if (other === number || other <= number - atOnce) this.flying.delete(other);
    this.grab();
    if (number < this.newest) return; // a newer one was painted sooner
    this.newest = number;
    const picture = data instanceof ImageData ? data : await createImageBitmap(new Blob([data]));
    const { width, height } = picture; // the camera's proportions
    if (this.canvas.width !== width || this.canvas.height !== height) Object.assign(this.canvas, { width, height });
    const context = this.canvas.getContext("2d");
    if (picture instanceof ImageData) context.putImageData(picture, 0, 0);
    else context.drawImage(picture, 0, 0);
    const now = performance.now();
    this.shown = [...this.shown.slice(-20), now];
    const rate = (this.shown.length - 1) / ((now - this.shown[0]) / 1000);
    const why = enlarged > 1 ? `, with strokes ${enlarged} times as large to keep up` : "";
    if (this.shown.length > 2) this.rated(`${rate.toFixed(rate < 10 ? 1 : 0)} frames a second${why}`);
  }

  // A photograph of what the camera sees, in its full resolution.
  async snap() {
    const canvas = document.createElement("canvas");
    Object.assign(canvas, { width: this.video.videoWidth, height: this.video.videoHeight });
    this.draw(canvas);
    const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.95));
    return new File([blob], "camera.jpg", { type: "image/jpeg" });
  }
}
