"""A page that repaints photographs with a folder that ``python -m export.hub`` wrote: a Space for the Hugging Face Hub.

    pip install -r export/space/requirements.txt
    STYLE_MODEL=wave_hub python export/space/gradio_app.py

STYLE_MODEL is the folder, or the name of a model on the Hub whose code you trust. It needs nothing of this project.
"""

import os

import gradio
from transformers import AutoModel

model = AutoModel.from_pretrained(os.environ.get("STYLE_MODEL", "model"), trust_remote_code=True)
styles = model.config.styles or []


def repaint(photograph, strength, preserve_color, style=None):
    """A photograph, ``None`` where there is none yet, in the style."""
    if photograph is None:
        raise gradio.Error("Choose a photograph first.")
    photograph = photograph.convert("RGB")
    photograph.thumbnail((1600, 1600))  # a Space's processor is shared
    return model.stylize(photograph, style=style, strength=strength, preserve_color=preserve_color)


inputs = [
    gradio.Image(type="pil", label="Photograph"),
    gradio.Slider(0, 1, value=1, label="Strength"),
    gradio.Checkbox(label="Keep the photograph's colours"),
]
if styles:
    inputs.append(gradio.Dropdown(styles, value=styles[0], label="Style"))

page = gradio.Interface(
    repaint,
    inputs,
    gradio.Image(type="pil", format="png", label="Repainted"),
    title="Fast neural style transfer",
    description="Johnson, Alahi and Fei-Fei (2016). For research and education.",
    flagging_mode="never",
)

if __name__ == "__main__":
    page.launch()
