"""What a model takes for an order, and what it thinks aloud: neither goes where it does not belong."""

import re

from app.errors import BackendUnavailable

# What models and their templates take for an order, wherever it stands: Ollama's renderer for Nemotron 3 Nano obeys
# "/think" in any user's text, llama-3.1-nemotron-nano the words "detailed thinking", tokenizers their own markers.
CONTROL_WORDS = re.compile(
    r"""
      /(?:no_?)?think
    | <\s*/?\s*think(?:ing)?\s*/?>
    | detailed\s+thinking\s+(?:on|off)\b
    | <[|｜][^<>]{0,64}?[|｜]>
    | <SPECIAL_\d+>
    | <(?:extra_id|unused|reserved)_?\d+>
    | </?(?:s|bos|eos|pad|unk|start_of_turn|end_of_turn|tool_call|tool_response|toolcall)>
    | \[/?INST\]
    | <</?SYS>>
    """,
    re.IGNORECASE | re.VERBOSE,
)
THINK_TAG = re.compile(r"<(/?)think>", re.IGNORECASE)
TAGS = ("<think>", "</think>")


class ThoughtsShown(BackendUnavailable):
    """What was taken for the answer turned out to be the model's thoughts."""


def strip_control_words(text: str) -> str:
    """Take out of ``text`` every word that a model or its template would take for an order.

    Each becomes a space, so that its neighbours do not join to a new one; what they join to nevertheless goes as well.
    """
    while (stripped := CONTROL_WORDS.sub(" ", text)) != text:
        text = stripped
    return text


class ThoughtFilter:
    """Passes the answer on and drops ``<think>...</think>``, wherever the chunks happen to be cut.

    A template may put the opening tag into the prompt; then thoughts begin without one, and only the closing tag tells
    what they were. With ``hold_back`` nothing is shown before that tag, or before the end where none comes. Without it
    text is shown as it comes, and a closing tag that nobody opened raises :class:`ThoughtsShown` once something was
    shown. Which of the two a backend needs is learned (:attr:`Backend.holds_back`).
    """

    def __init__(self, *, hold_back: bool = False) -> None:
        self.holding = hold_back
        self.inside = False
        self.met_unopened = False
        self._held = ""
        self._undecided = ""
        self._shown = False

    def feed(self, text: str) -> str:
        """Take the next text of the model and give what of it may be shown."""
        self._undecided += text
        shown = ""
        while tag := THINK_TAG.search(self._undecided):
            shown += self._pass_on(self._undecided[: tag.start()])
            self._undecided = self._undecided[tag.end() :]
            shown = self._close(shown) if tag[1] else self._open(shown)
        sure = len(self._undecided) - _count_tag_start(self._undecided)
        shown += self._pass_on(self._undecided[:sure])
        self._undecided = self._undecided[sure:]
        return self._show(shown)

    def finish(self) -> str:
        """Give what was held back or undecided when the model has ended."""
        rest = "" if self.inside else self._held + self._undecided
        self._held = self._undecided = ""
        return self._show(rest)

    def _pass_on(self, text: str) -> str:
        if self.inside:
            return ""
        if self.holding:
            self._held += text
            return ""
        return text

    def _open(self, shown: str) -> str:
        self.inside = True
        self.holding = self.holding and bool(self._held.strip())
        return shown

    def _close(self, shown: str) -> str:
        if self.inside:
            self.inside = False
            return shown
        self.met_unopened = True
        self.holding = False
        self._held = ""
        if self._shown:
            raise ThoughtsShown("the model told its thoughts as its answer")
        return ""

    def _show(self, text: str) -> str:
        text = text if self._shown else text.lstrip()
        self._shown = self._shown or bool(text)
        return text


def _count_tag_start(text: str) -> int:
    """Count the characters at the end of ``text`` that may be the beginning of a tag."""
    end = text[-len("</think") :].lower()
    return next((length for length in range(len(end), 0, -1) if any(t.startswith(end[-length:]) for t in TAGS)), 0)
