"""Writes code, corrects it, tests it and describes it."""

from cartrita.coding import orders
from cartrita.coding.forms import (
    ClassParams,
    CodeResult,
    DocumentParams,
    FixParams,
    FunctionParams,
    GenerateParams,
    OptimizeParams,
    RefactorParams,
    TestsParams,
)
from cartrita.coding.orders import RUNNABLE, Order
from cartrita.coding.rules import (
    RULES,
    TEMPLATES,
    data_class,
    data_class_tests,
    interface_tests,
)
from cartrita.context import Context
from cartrita.cost.price import Price, per_call_and_metered
from cartrita.declare import Agent, task
from cartrita.errors import InvalidParameters, ModelRequired
from cartrita.providers.ports import ChatModels
from cartrita.providers.ports_code import Mending, Review, Workshop

SUM = "def total(numbers: list[int]) -> int:\n    result = 0\n    for number in numbers:\n"
SUM += "        result = result + number\n    return result\n"


def _price(usd: str) -> Price:
    return per_call_and_metered(usd, "0.25", 40_000)


PRICES = {
    "function": _price("0.015"),
    "class": _price("0.025"),
    "refactor": _price("0.02"),
    "fix": _price("0.018"),
    "optimize": _price("0.022"),
    "tests": _price("0.02"),
    "document": _price("0.012"),
}


class CodeWriter(Agent, team="intelligence", concurrency=4):
    """Writes code with a language model; what needs none is made by rules."""

    def __init__(self, models: ChatModels, workshop: Workshop) -> None:
        from cartrita.coding.hand import Hand  # noqa: PLC0415 - imports LangChain

        self._hand, self._workshop = Hand(models, workshop), workshop

    @task(
        "codewriter.generate",
        cost=PRICES["class"],
        timeout=180,
        idempotent=True,
        example={
            "description": "A product in a shop",
            "language": "python",
            "name": "Product",
            "sample": {"title": "Lamp", "price": 12.5, "tags": ["light"]},
        },
    )
    async def generate(self, params: GenerateParams, ctx: Context) -> CodeResult:
        """Write a function or a class.

        See `codewriter.generate.function` and `codewriter.generate.class`, which this chooses
        between.
        """
        inner = params.inner()
        if isinstance(inner, ClassParams):
            return await self.generate_class(inner, ctx)
        return await self.generate_function(inner, ctx)

    @task(
        "codewriter.generate.function",
        cost=PRICES["function"],
        timeout=180,
        idempotent=True,
        example={"description": "Tell whether a text is a palindrome", "language": "python"},
    )
    async def generate_function(self, params: FunctionParams, ctx: Context) -> CodeResult:
        """Write a function, and tests that are run. Needs a configured language model."""
        return await self._written(orders.function(params), params.model, PRICES["function"], ctx)

    @task(
        "codewriter.generate.class",
        cost=PRICES["class"],
        timeout=180,
        idempotent=True,
        example={
            "description": "A point in the plane",
            "language": "python",
            "name": "Point",
            "properties": [{"name": "x", "type": "float"}, {"name": "y", "type": "float"}],
        },
    )
    async def generate_class(self, params: ClassParams, ctx: Context) -> CodeResult:
        """Write a class, and tests that are run.

        Without a language model a class of data is made from its properties or from a sample, in
        Python or JavaScript; one with methods needs a model.
        """
        order, made = orders.class_(params), data_class(params)
        if made is None or self._hand.chat(params.model) is not None:
            return await self._written(order, params.model, PRICES["class"], ctx)
        tests = (data_class_tests(params) or "") if params.tests else ""
        draft = await self._hand.draft(order, made, tests, ctx)
        return self._hand.result(order, draft, TEMPLATES, ctx)

    @task(
        "codewriter.refactor.code",
        cost=PRICES["refactor"],
        timeout=180,
        idempotent=True,
        example={"code": "import os, sys\nprint( sys.argv )\n", "language": "python"},
    )
    async def refactor(self, params: RefactorParams, ctx: Context) -> CodeResult:
        """Write code anew that does the same.

        Without a language model Python code is formatted and simplified by fixed rules.
        """
        order = orders.refactor(params)
        return await self._changed(order, params.model, "style", PRICES["refactor"], ctx)

    @task(
        "codewriter.fix.bugs",
        cost=PRICES["fix"],
        timeout=180,
        idempotent=True,
        example={
            "code": "def known(name):\n    return not name in NAMES and name != None\n",
            "language": "python",
        },
    )
    async def fix(self, params: FixParams, ctx: Context) -> CodeResult:
        """Correct code.

        Without a language model only what fixed rules know to be wrong in Python is corrected.
        """
        return await self._changed(orders.fix(params), params.model, "bugs", PRICES["fix"], ctx)

    @task(
        "codewriter.optimize.performance",
        cost=PRICES["optimize"],
        timeout=180,
        idempotent=True,
        example={"code": "names = list([name for name in people])\n", "language": "python"},
    )
    async def optimize(self, params: OptimizeParams, ctx: Context) -> CodeResult:
        """Make code need less time or memory.

        Without a language model only what fixed rules know to be slow in Python is changed.
        """
        order = orders.optimize(params)
        return await self._changed(order, params.model, "speed", PRICES["optimize"], ctx)

    @task(
        "codewriter.add.tests",
        cost=PRICES["tests"],
        timeout=180,
        idempotent=True,
        example={"code": SUM, "language": "python"},
    )
    async def add_tests(self, params: TestsParams, ctx: Context) -> CodeResult:
        """Write tests for code, and run them.

        Without a language model they check, for Python, that its functions take their parameters
        and that the examples in docstrings hold.
        """
        order = orders.tests(params)
        chat, review = self._hand.chat(params.model), await self._read(order)
        if chat is not None:
            return await self._hand.write(chat, order, ctx, PRICES["tests"])
        known = params.language == "python" and order.framework == RUNNABLE["python"]
        made = interface_tests(review) if known else None
        if made is None:
            raise _required("Writing these tests")
        draft = await self._hand.draft(order, params.code, made, ctx)
        return self._hand.result(order, draft, TEMPLATES, ctx)

    @task(
        "codewriter.document.code",
        cost=PRICES["document"],
        timeout=180,
        idempotent=True,
        example={"code": SUM, "language": "python"},
    )
    async def document(self, params: DocumentParams, ctx: Context) -> CodeResult:
        """Describe code in its comments.

        Without a language model Python code gets docstrings that repeat what its names and
        signatures say.
        """
        order = orders.document(params)
        chat, _ = self._hand.chat(params.model), await self._read(order)
        if chat is not None:
            return await self._hand.write(chat, order, ctx, PRICES["document"])
        plain = params.doc_style in (None, "Google") and not params.include_examples
        if params.language != "python" or not plain:
            raise _required("Describing this code")
        code = await self._workshop.document(params.code)
        draft = await self._hand.draft(order, code, "", ctx)
        return self._hand.result(order, draft, TEMPLATES, ctx)

    async def _written(
        self, order: Order, model: str | None, price: Price, ctx: Context
    ) -> CodeResult:
        chat = self._hand.chat(model)
        if chat is None:
            raise _required("Writing code from a description")
        return await self._hand.write(chat, order, ctx, price)

    async def _changed(
        self, order: Order, model: str | None, kind: Mending, price: Price, ctx: Context
    ) -> CodeResult:
        """Have code changed by a model, or by rules where there is none and they find something."""
        chat = self._hand.chat(model)
        if kind != "bugs":  # that it cannot be read may be the bug
            await self._read(order)
        if chat is not None:
            return await self._hand.write(chat, order, ctx, price)
        if order.language != "python":
            raise _required(f"Changing {order.language} code")
        code = await self._workshop.mend(order.original, kind)
        if code == order.original:
            raise _required("Fixed rules find nothing to change here, and more")
        draft = await self._hand.draft(order, code, "", ctx)
        return self._hand.result(order, draft, RULES, ctx)

    async def _read(self, order: Order) -> Review:
        """Analyse the code that was given.

        Raises:
            InvalidParameters: It does not parse.
        """
        review = await self._workshop.review(order.original, order.language)
        if review.parses is False:
            first = review.remarks[0]
            message = f"line {first.line} is no {order.language}: {first.message}"
            raise InvalidParameters(
                f"The code cannot be read: {message}.", fields=[("code", message)]
            )
        return review


def _required(what: str) -> ModelRequired:
    from cartrita.coding.hand import SETTINGS  # noqa: PLC0415 - imports LangChain

    return ModelRequired(f"{what} needs a language model, and none is configured: {SETTINGS}")
