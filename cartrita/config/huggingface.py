"""The settings of Hugging Face models and of embeddings."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from cartrita.config.kinds import HttpUrl, Location, Section

ModelName = Annotated[str | None, Field(pattern=r"^[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?$")]


class HuggingFace(Section):
    """Models of Hugging Face: in a folder here, from its hub, or at its inference API.

    The kinds below name the model that does them where a caller names none; unset, the
    built-in model does, where there is one.
    """

    path: Location | None = Field(
        default=None,
        description="Folder whose subfolders are models in safetensors format; callers name them "
        "by their folder's name.",
    )
    download: bool = Field(
        default=False,
        description="Whether models that callers name by their hub id are fetched from the hub "
        "and run here, rather than at the inference API.",
    )
    cache: Location | None = Field(
        default=None, description="Folder for what is fetched; unset is `huggingface` in the home."
    )
    hub_url: HttpUrl | None = Field(
        default=None, description="Address of the hub, or of a mirror; unset is Hugging Face's."
    )
    inference_url: HttpUrl | None = Field(
        default=None,
        description="Address below which the inference API has its models; unset is Hugging "
        "Face's own as soon as models.huggingface_api_key is set.",
    )
    inference_timeout_s: float = Field(
        default=120.0, gt=0, le=3600, description="Seconds one call of that API may take."
    )
    threads: int = Field(
        default=1, ge=1, le=256, description="CPU threads of one host with models in it."
    )
    most_models: int = Field(default=4, ge=1, le=64, description="Models kept loaded per host.")
    most_mb: int = Field(
        default=4096, ge=64, le=1 << 20, description="MB of weights kept loaded per host."
    )
    generation: ModelName = Field(default=None, description="Model that goes on from a prompt.")
    summarization: ModelName = Field(default=None, description="Model that shortens texts.")
    translation: ModelName = Field(default=None, description="Model that translates.")
    classification: ModelName = Field(default=None, description="Model that sorts texts.")
    zero_shot_classification: ModelName = Field(
        default=None, description="Model that sorts texts into a caller's own labels."
    )
    question_answering: ModelName = Field(
        default=None, description="Model that answers questions about a text."
    )
    token_classification: ModelName = Field(
        default=None, description="Model that marks names and the like in a text."
    )
    fill_mask: ModelName = Field(default=None, description="Model that fills a gap in a text.")
    sentence_similarity: ModelName = Field(
        default=None, description="Model that compares sentences."
    )


class Embeddings(Section):
    """What turns texts into vectors, for memories and for finding them."""

    provider: Literal["builtin", "folder", "openai", "huggingface"] = Field(
        default="builtin",
        description="`folder` is a sentence-transformers model of the BERT family below "
        "huggingface.path; `openai` is the server of models.openai_base_url, `huggingface` the "
        "inference API: those two are paid by the token, and are sent no personal data. Vectors "
        "of different models are kept apart.",
    )
    model: str | None = Field(
        default=None,
        min_length=1,
        description="The folder's name, the server's model, or a hub id; text-embedding-3-small "
        "for `openai` by default.",
    )
    dimensions: int | None = Field(
        default=None,
        ge=8,
        le=4000,
        description="Length of the vectors that the server is asked for; unset is the model's "
        "own, which is known for OpenAI's models only.",
    )
    hedge_after_s: float | None = Field(
        default=None,
        gt=0,
        le=600,
        description="Seconds after which a provider is asked a second time beside a slow request, "
        "and paid; unset never.",
    )

    @model_validator(mode="after")
    def _named(self) -> Self:
        if self.provider == "folder" and self.model is None:
            raise ValueError("set embeddings.model to the name of a folder below huggingface.path")
        return self
