"""What is shown to an agent beside text: the providers' forms, and what is none."""

import base64

import pytest

from polos import InvalidArgumentError
from polos._execution.parts import message_part

PNG = b"\x89PNG\xff"
TEXT = base64.b64encode(PNG).decode()
DATA_URL = f"data:image/png;base64,{TEXT}"
PDF_URL = f"data:application/pdf;base64,{TEXT}"


@pytest.mark.parametrize(
    ("part", "media_type", "filename"),
    [
        ({"type": "media", "media_type": "image/png", "data": PNG}, "image/png", ""),
        ({"type": "media", "media_type": "image/png", "data": TEXT}, "image/png", ""),
        ({"type": "image_url", "image_url": {"url": DATA_URL}}, "image/png", ""),
        ({"type": "input_image", "image_url": DATA_URL}, "image/png", ""),
        (
            {"type": "file", "file": {"filename": "a.pdf", "file_data": PDF_URL}},
            "application/pdf",
            "a.pdf",
        ),
        (
            {"type": "input_file", "filename": "a.pdf", "file_data": PDF_URL},
            "application/pdf",
            "a.pdf",
        ),
        (
            {
                "type": "image",
                "source": {"type": "base64", "media_type": "image/png", "data": TEXT},
            },
            "image/png",
            "",
        ),
    ],
)
def test_bytes_in_every_form(part, media_type, filename):
    media = message_part(part, "p").media
    assert (media.data, media.media_type, media.filename) == (PNG, media_type, filename)


@pytest.mark.parametrize(
    ("part", "media_type"),
    [
        ({"type": "media", "url": "https://x/y"}, ""),
        ({"type": "image_url", "image_url": {"url": "https://x/y", "detail": "low"}}, ""),
        ({"type": "input_image", "image_url": "https://x/y"}, ""),
        ({"type": "input_file", "file_url": "https://x/y"}, "application/pdf"),
        ({"type": "image", "source": {"type": "url", "url": "https://x/y"}}, ""),
        ({"type": "document", "source": {"type": "url", "url": "https://x/y"}}, "application/pdf"),
    ],
)
def test_links_in_every_form(part, media_type):
    media = message_part(part, "p").media
    assert (media.url, media.media_type) == ("https://x/y", media_type)


def test_texts():
    for part in ("hi", {"type": "text", "text": "hi"}, {"type": "input_text", "text": "hi"}):
        assert message_part(part, "p").text == "hi"
    source = {"type": "text", "media_type": "text/plain", "data": "hi"}
    assert message_part({"type": "document", "source": source}, "p").media.data == b"hi"


@pytest.mark.parametrize(
    "part",
    [
        None, 7, {}, {"type": "text"}, {"type": "text", "text": 1}, {"type": ["text"]},
        {"type": "video", "url": "https://x"}, {"type": "media"}, {"type": "image_url"},
        {"type": "image_url", "image_url": {}}, {"type": "file", "file": "x"}, {"type": "image"},
        {"type": "image", "source": {"type": "url"}},
    ],
)  # fmt: skip
def test_what_is_none_is_told_the_forms(part):
    with pytest.raises(InvalidArgumentError, match=r'^p must be .*"image_url"'):
        message_part(part, "p")


@pytest.mark.parametrize("data", ["a", "Zg=", "ü", 7])
def test_data_that_is_no_base64(data):
    with pytest.raises(InvalidArgumentError, match="p.data must be bytes"):
        message_part({"type": "media", "media_type": "image/png", "data": data}, "p")


async def test_an_agent_is_shown_an_image(server, client, model):
    from polos import Agent
    from replay_model import Turn

    model.script = [Turn(text="A cat.")]
    seer = Agent(
        id="seer", provider="openai_compatible", provider_base_url=model.url, model="m"
    )
    shown = [{"type": "text", "text": "what?"}, {"type": "input_image", "image_url": DATA_URL}]
    found = await seer.run(client, [{"role": "user", "content": shown}])
    assert found.result == "A cat."
    assert model.requests[0]["messages"][0]["content"] == [
        {"type": "text", "text": "what?"},
        {"type": "image_url", "image_url": {"url": DATA_URL}},
    ]
