// A brush for a mask on the photograph: what is painted over keeps the photograph.

const MOST = 1600; // pixels of the mask's longer side
const COLOUR = "#8a8f98";

// Strokes are { keeps, size, points }, or { fills }; sizes and places are parts of the canvas's width.
export class Mask {
  constructor(canvas, changed) {
    this.canvas = canvas;
    this.changed = changed;
    this.keeps = true;
    this.size = 0.12;
    this.strokes = [];
    this.undone = [];
    canvas.addEventListener("pointerdown", (event) => this.begin(event));
    canvas.addEventListener("pointermove", (event) => this.go(event));
    for (const type of ["pointerup", "pointercancel"]) canvas.addEventListener(type, () => this.end());
  }

  // Whether nothing was painted since it was cleared.
  get empty() {
    return !this.strokes.length || this.strokes.at(-1).fills === false;
  }

  // For a picture, with the strokes that it has.
  open(width, height, strokes) {
    const scale = Math.min(1, MOST / Math.max(width, height));
    this.canvas.width = Math.max(1, Math.round(width * scale));
    this.canvas.height = Math.max(1, Math.round(height * scale));
    this.strokes = strokes;
    this.undone = [];
    this.draw();
  }

  // What follows a change can be undone, as long as the photograph stays.
  add(stroke) {
    this.strokes = [...this.strokes, stroke];
    this.undone = [];
    this.draw();
    this.changed();
  }

  undo() {
    if (!this.strokes.length) return;
    this.undone.push(this.strokes.at(-1));
    this.strokes = this.strokes.slice(0, -1);
    this.draw();
    this.changed();
  }

  redo() {
    const stroke = this.undone.pop();
    if (!stroke) return;
    this.strokes = [...this.strokes, stroke];
    this.draw();
    this.changed();
  }

  draw() {
    const { width, height } = this.canvas;
    this.context.clearRect(0, 0, width, height);
    for (const stroke of this.strokes) this.drawStroke(stroke);
  }

  drawStroke({ fills, keeps, size, points }) {
    const { context, canvas } = this;
    context.globalCompositeOperation = (fills ?? keeps) ? "source-over" : "destination-out";
    context.strokeStyle = context.fillStyle = COLOUR;
    if (fills !== undefined) return context.fillRect(0, 0, canvas.width, canvas.height);
    context.lineCap = context.lineJoin = "round";
    context.lineWidth = size * canvas.width;
    context.beginPath();
    context.moveTo(points[0][0] * canvas.width, points[0][1] * canvas.width + 0.01);
    for (const [x, y] of points) context.lineTo(x * canvas.width, y * canvas.width);
    context.stroke();
  }

  get context() {
    return this.canvas.getContext("2d", { willReadFrequently: true });
  }

  begin(event) {
    this.canvas.setPointerCapture(event.pointerId);
    this.stroke = { keeps: this.keeps, size: this.size, points: [this.place(event)] };
    this.go(event);
  }

  go(event) {
    if (!this.stroke) return;
    const { points } = this.stroke;
    points.push(this.place(event));
    this.drawStroke({ ...this.stroke, points: points.slice(-2) });
  }

  end() {
    const { stroke } = this;
    this.stroke = null;
    if (stroke) this.add(stroke);
  }

  place(event) {
    const box = this.canvas.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.width];
  }

  // A PNG as --mask takes it: white is stylised, black is kept.
  async png() {
    const copy = new OffscreenCanvas(this.canvas.width, this.canvas.height);
    const context = copy.getContext("2d");
    context.drawImage(this.canvas, 0, 0);
    for (const [operation, colour] of [["source-in", "#000"], ["destination-over", "#fff"]]) {
      context.globalCompositeOperation = operation;
      context.fillStyle = colour;
      context.fillRect(0, 0, copy.width, copy.height);
    }
    return copy.convertToBlob({ type: "image/png" });
  }
}
