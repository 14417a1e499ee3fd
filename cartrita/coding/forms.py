"""What tasks about code take and answer."""

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from cartrita.declare import ModelResult, Params
from cartrita.protocol.task import Name
from cartrita.protocol.text import Prose, Unicode
from cartrita.protocol.wire import WireModel
from cartrita.providers.ports_code import Kind, Review, Tested

LONGEST_CODE = 20_000
"""Characters, so that the code, what is made of it and one repair fit the ceiling."""

MOST_MEMBERS = 50
NAMES = {"js": "javascript", "node": "javascript", "py": "python", "ts": "typescript"}


def _canonical(name: str) -> str:
    return NAMES.get(name.lower(), name.lower())


Language = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9+#.-]{0,30}$"),
    AfterValidator(_canonical),
]
"""Nothing but a name, as it becomes part of an instruction."""

Short = Annotated[Prose, Field(max_length=200)]
Told = Annotated[Prose, Field(max_length=8_000)]
Code = Annotated[Prose, Field(max_length=LONGEST_CODE)]
Model = Annotated[Name | None, Field(description="Default: the configured one.")]


class Member(WireModel):
    """A parameter, a property or a method."""

    name: Short
    type: Short | None = None
    description: Short | None = None


Members = Annotated[list[Short | Member], Field(max_length=MOST_MEMBERS)]


class _Made(Params):
    """What everything that is made has in common."""

    language: Language = "javascript"
    model: Model = None
    tests: bool = Field(
        default=True, description="Whether tests are written, too, and run in the sandbox."
    )


class FunctionParams(_Made):
    """A function to write."""

    description: Told
    parameters: Members = Field(default_factory=list, description="Names, or with types.")
    return_type: Short | None = None


class ClassParams(_Made):
    """A class to write."""

    description: Told
    name: Short | None = None
    methods: Members = Field(default_factory=list)
    properties: Members = Field(default_factory=list, description="Names, or with types.")
    sample: dict[str, Any] | None = Field(
        default=None, description="An object that the class is to hold: properties follow from it."
    )


class GenerateParams(ClassParams):
    """Something to write."""

    kind: Literal["auto", "function", "class"] = Field(
        default="auto", description="`auto`: a class as soon as it is told what belongs to one."
    )
    parameters: Members = Field(default_factory=list, description="Of a function.")
    return_type: Short | None = Field(default=None, description="Of a function.")

    @property
    def is_class(self) -> bool:
        """Whether a class is asked for."""
        told = self.methods or self.properties or self.sample is not None
        return self.kind == "class" or (self.kind == "auto" and bool(told))

    @model_validator(mode="after")
    def _of_one_kind(self) -> Self:
        if self.is_class and (self.parameters or self.return_type):
            raise ValueError("parameters and returnType are of a function, not of a class")
        return self

    def inner(self) -> FunctionParams | ClassParams:
        """Return the parameters of the task that does it."""
        kind = ClassParams if self.is_class else FunctionParams
        return kind.model_validate({name: getattr(self, name) for name in kind.model_fields})


class _Given(Params):
    """What everything that begins with code has in common."""

    code: Code
    language: Language = "javascript"
    model: Model = None


class RefactorParams(_Given):
    """Code to write better, doing the same."""

    refactor_type: Short = "improve"
    guidelines: Told | None = None


class FixParams(_Given):
    """Code that does not do what it should."""

    error_messages: list[Told] = Field(default_factory=list, max_length=10)
    context: Told | None = None


class OptimizeParams(_Given):
    """Code that should need less."""

    optimization_target: Short = "speed"
    constraints: Told | None = None


class TestsParams(_Given):
    """Code to write tests for."""

    __test__ = False  # pytest takes it for a test

    test_framework: Short | None = Field(
        default=None,
        description="Default: `unittest` for Python, `node:test` for JavaScript, which are run "
        "here; others are written and not run.",
    )
    coverage: Short = Field(default="basic", description="How much is to be tested, in words.")


class DocumentParams(_Given):
    """Code to describe."""

    doc_style: Short | None = Field(
        default=None, description="Default: `Google` for Python, `JSDoc` for JavaScript."
    )
    include_examples: bool = False


class Noticed(WireModel):
    """Something that static analysis noticed."""

    rule: str
    message: str
    line: int
    column: int
    kind: Kind


class Analysis(WireModel):
    """What static analysis says of the code; nothing was run for it."""

    analysed: bool
    by: list[str]
    parses: bool | None = None
    remarks: list[Noticed]
    note: str | None = Field(default=None, description="Why it was not analysed.")

    @classmethod
    def of(cls, review: Review) -> Self:
        """Return what a review tells."""
        remarks = [
            Noticed(rule=it.rule, message=it.message, line=it.line, column=it.column, kind=it.kind)
            for it in review.remarks
        ]
        return cls(
            analysed=bool(review.by),
            by=list(review.by),
            parses=review.parses,
            remarks=remarks,
            note=review.note or None,
        )


class TestsResult(WireModel):
    """Tests, and what came of running them in the sandbox."""

    __test__ = False

    code: str
    framework: str
    ran: bool
    passed: int
    failed: int
    output: str
    note: str | None = Field(default=None, description="Why they did not run, or not to the end.")

    @classmethod
    def of(cls, code: str, framework: str, tested: Tested) -> Self:
        """Return tests with what came of them."""
        return cls(
            code=code,
            framework=framework,
            ran=tested.ran,
            passed=tested.passed,
            failed=tested.failed,
            output=tested.output,
            note=tested.note or None,
        )


class CodeResult(ModelResult):
    """Code, with what is known about it."""

    code: Unicode
    language: str
    lines_of_code: int = Field(description="Without blank ones.")
    analysis: Analysis
    tests: TestsResult | None = None
    changes: str | None = Field(default=None, description="Against the code given; a diff.")
    repaired: bool = Field(
        default=False, description="Whether the model was told once what was wrong, and corrected."
    )
