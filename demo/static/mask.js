// A brush for a mask on the photograph: what is painted over keeps the photograph.

const MOST = 1600; // pixels of the mask's longer side

export class Mask {
  constructor(canvas, changed) {
    this.canvas = canvas;
    this.changed = changed;
    this.keeps = true;
    this.size = 0.12; // of the picture's width
    this.empty = true;
    canvas.addEventListener("pointerdown", (event) => this.begin(event));
    canvas.addEventListener("pointermove", (event) => this.go(event));
    for (const type of ["pointerup", "pointercancel"]) canvas.addEventListener(type, () => this.end());
  }

  // For a picture of other proportions; what was painted is gone.
  prepare(width, height) {
    const scale = Math.min(1, MOST / Math.max(width, height));
    this.canvas.width = Math.max(1, Math.round(width * scale));
    this.canvas.height = Math.max(1, Math.round(height * scale));
    this.empty = true;
  }

  clear() {
    this.context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    this.empty = true;
    this.changed();
  }

  fill() {
    this.context.globalCompositeOperation = "source-over";
    this.context.fillStyle = "#8a8f98";
    this.context.fillRect(0, 0, this.canvas.width, this.canvas.height);
    this.empty = false;
    this.changed();
  }

  get context() {
    return this.canvas.getContext("2d", { willReadFrequently: true });
  }

  begin(event) {
    this.canvas.setPointerCapture(event.pointerId);
    this.last = this.place(event);
    this.go(event);
  }

  go(event) {
    if (!this.last) return;
    const [x, y] = this.place(event);
    const context = this.context;
    context.globalCompositeOperation = this.keeps ? "source-over" : "destination-out";
    context.strokeStyle = "#8a8f98";
    context.lineCap = context.lineJoin = "round";
    context.lineWidth = this.size * this.canvas.width;
    context.beginPath();
    context.moveTo(...this.last);
    context.lineTo(x, y + 0.01);
    context.stroke();
    this.last = [x, y];
    this.empty = false;
  }

  end() {
    if (this.last) this.changed();
    this.last = null;
  }

  place(event) {
    const box = this.canvas.getBoundingClientRect();
    const scale = this.canvas.width / box.width;
    return [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
  }

  // A PNG as --mask takes it: white is stylised, black is kept.
  async png() {
    const copy = new OffscreenCanvas(this.canvas.width, this.canvas.height);
    const context = copy.getContext("2d");
    context.filter = "brightness(0)";
    context.drawImage(this.canvas, 0, 0);
    context.filter = "none";
    context.globalCompositeOperation = "destination-over";
    context.fillStyle = "#fff";
    context.fillRect(0, 0, copy.width, copy.height);
    return copy.convertToBlob({ type: "image/png" });
  }
}
