"""What tasks that write take and answer."""

from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, model_validator

from cartrita.declare import ModelResult, Params
from cartrita.protocol.task import Name
from cartrita.protocol.text import Prose
from cartrita.protocol.wire import WireModel, field_errors
from cartrita.writing.orders import Kind
from cartrita.writing.text import Length

LONGEST_TEXT = 40_000
"""Characters of what is worked on, so that it and what comes of it fit the ceiling."""

LONGEST_PROMPT = 8_000
MOST_FACTS = 100

Text = Annotated[Prose, Field(max_length=LONGEST_TEXT)]
Prompt = Annotated[Prose, Field(max_length=LONGEST_PROMPT)]
Short = Annotated[Prose, Field(max_length=300)]
Facts = Annotated[
    list[Annotated[Prose, Field(max_length=2_000)]],
    Field(max_length=MOST_FACTS, description="Statements to use; nothing else is claimed."),
]
HowLong = Annotated[
    Length | Annotated[int, Field(ge=20, le=2_000)],
    Field(description="`short`, `medium` or `long`, or a number of words."),
]
Format = Annotated[
    Literal["text", "markdown"],
    Field(description="`text` has headings without marks; both come with `sections`."),
]
Model = Annotated[Name | None, Field(description="Default: the configured one.")]


class ContentParams(Params):
    """What to write about, and how."""

    prompt: Prompt
    tone: Short = "professional"
    length: HowLong = "medium"
    format: Format = "text"
    model: Model = None


class EditParams(Params):
    """A text, and what to change in it."""

    content: Text
    instructions: Prompt
    style: Annotated[Short, Field(description="`maintain` keeps the text's own.")] = "maintain"
    model: Model = None


class SummarizeParams(Params):
    """A text to shorten."""

    content: Text
    length: HowLong = "short"
    format: Literal["paragraph", "bullets"] = "paragraph"
    model: Annotated[
        Name | None,
        Field(description="Default: the configured one, and without one the built-in one."),
    ] = None


class BlogParams(Params):
    """What a blog post is about."""

    topic: Prompt
    keywords: Annotated[list[Short], Field(max_length=30)] = Field(default_factory=list)
    tone: Short = "engaging"
    length: HowLong = "medium"
    model: Model = None


class EmailParams(Params):
    """What a mail is for."""

    purpose: Prompt
    recipient: Short | None = None
    sender: Short | None = None
    tone: Short = "professional"
    context: Text | None = None
    facts: Facts = Field(default_factory=list)
    asks: Annotated[
        Prompt | None, Field(description="What the recipient is asked to do or decide.")
    ] = None
    length: HowLong = "short"
    model: Model = None


class DocumentParams(Params):
    """What a report or a brief is about."""

    topic: Prompt
    facts: Facts = Field(default_factory=list)
    context: Text | None = None
    asks: Annotated[Prompt | None, Field(description="What is recommended, or to decide.")] = None
    tone: Short = "professional"
    length: HowLong = "medium"
    model: Model = None


KINDS: dict[Kind, type[Params]] = {
    "content": ContentParams,
    "edit": EditParams,
    "summary": SummarizeParams,
    "blog": BlogParams,
    "email": EmailParams,
    "report": DocumentParams,
    "brief": DocumentParams,
}


class ComposeParams(Params):
    """A kind, and the parameters of that kind; others are refused."""

    kind: Kind = "content"
    prompt: Prompt | None = None
    content: Text | None = None
    instructions: Prompt | None = None
    style: Short | None = None
    topic: Prompt | None = None
    keywords: Annotated[list[Short], Field(max_length=30)] | None = None
    purpose: Prompt | None = None
    recipient: Short | None = None
    sender: Short | None = None
    context: Text | None = None
    facts: Facts | None = None
    asks: Prompt | None = None
    tone: Short | None = None
    length: HowLong | None = None
    format: Literal["text", "markdown", "paragraph", "bullets"] | None = None
    model: Model = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        self.inner()
        return self

    def inner(self) -> Params:
        """Return the parameters of the kind's own task."""
        given = self.model_dump(exclude_none=True, exclude={"kind"})
        try:
            return KINDS[self.kind].model_validate(given)
        except ValidationError as error:
            told = "; ".join(f"{name}: {message}" for name, message in field_errors(error))
            raise ValueError(
                f"these are not parameters of the kind {self.kind!r}: {told}"
            ) from error


class Section(WireModel):
    """A heading and what stands under it."""

    heading: str
    text: str


class WrittenResult(ModelResult):
    """What was written."""

    kind: Kind
    text: str
    word_count: int
    title: str | None = None
    subject: str | None = Field(default=None, description="Of a mail; `text` is the rest.")
    sections: list[Section] = Field(default_factory=list)
    tone: str | None = Field(default=None, description="As it was asked for.")
    partial: bool = Field(
        default=False, description="Whether a person has to write what `[TO WRITE: …]` marks."
    )
    missing: list[str] = Field(default_factory=list, description="What these marks say.")
