"""The HTTP interface of one model: OpenAI's endpoints and a typed /predict.

app = create_app(serving, renderer, Access.from_environment(), feedback)
app.state.engine = load_engine(serving.engine, folder)
"""

import asyncio
import time
from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Coroutine,
    Iterable,
    Iterator,
    Sequence,
)
from contextlib import aclosing, contextmanager
from typing import Annotated, Any, Final, Literal, NamedTuple, TypeVar

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from bentos.generator.decoding import Decoding
from bentos.generator.engine import (
    Chunk,
    Completion,
    Engine,
    EngineError,
    PromptTooLongError,
)
from bentos.generator.feedback import Feedback
from bentos.generator.openai_forms import ChatForm, Form, TextForm
from bentos.generator.openai_types import ChatRequest, CompletionRequest, StreamOptions
from bentos.generator.parse import parse_answer
from bentos.generator.prompt import Message, Renderer, messages_for
from bentos.generator.serving import Serving
from bentos.web import errors, openapi, traces
from bentos.web.access import Access
from bentos.web.connection import CLIENT_GONE, while_connected
from bentos.web.door import RETRY_SECONDS, Door
from bentos.web.errors import ApiError
from bentos.web.event_stream import LAST, EventStream, sse
from bentos.web.meter import Meter
from bentos.web.timer import within

CHARACTERS_PER_TOKEN: Final = 32
"""A longer text than this times the context cannot fit; it is refused without tokenizing it."""
MAX_BATCH: Final = 256
"""Most answers to one request over HTTP."""
MAX_ANSWERS: Final = 16 * MAX_BATCH
"""Most that one process computes at once; each waiting one takes memory."""
MAX_SEED: Final = 2**63
SCOPE: Final = "generate"
"""What a key must open."""

MODELS, CHAT, COMPLETIONS, PREDICT = (
    "/v1/models",
    "/v1/chat/completions",
    "/v1/completions",
    "/predict",
)

Result = TypeVar("Result")


class Prompt(NamedTuple):
    """What the model reads, and the conversation that it came from."""

    tokens: list[int]
    messages: Sequence[Message] = ()


def create_app(serving: Serving, renderer: Renderer, access: Access, feedback: Feedback) -> FastAPI:
    """The application; its `state.engine` must be set before the first request."""
    app = FastAPI(
        title=serving.model_name,
        description=f"Workload {serving.workload}",
        redoc_url=None,
        responses=openapi.ERRORS,
        telemetry=traces.BY_BENTOML,
    )
    app.state.engine = None
    meter = Meter(serving.model_name, (MODELS, CHAT, COMPLETIONS, PREDICT))
    api = _Api(app, serving, renderer, meter, feedback)
    errors.add_handlers(app)
    app.add_exception_handler(PromptTooLongError, _prompt_too_long)
    app.add_exception_handler(EngineError, _engine_failed)
    app.add_middleware(Door, access=access, limits=serving.limits, scopes=[SCOPE], meter=meter)
    app.add_api_route(MODELS, api.models, methods=["GET"])
    app.add_api_route(f"{MODELS}/{{name}}", api.model, methods=["GET"])
    app.add_api_route(CHAT, api.chat, methods=["POST"], responses=openapi.STREAM)
    app.add_api_route(COMPLETIONS, api.completions, methods=["POST"], responses=openapi.STREAM)
    prediction = _prediction_model(serving)
    app.add_api_route(
        PREDICT,
        _predict_route(api, serving),
        methods=["POST"],
        response_model=prediction | list[prediction],  # type: ignore[valid-type]
    )
    return app


class _Api:
    def __init__(
        self,
        app: FastAPI,
        serving: Serving,
        renderer: Renderer,
        meter: Meter,
        feedback: Feedback,
    ) -> None:
        self._app, self._serving, self._renderer = app, serving, renderer
        self._feedback = feedback
        self._started = int(time.time())
        self._meter = meter
        self._under_way = 0

    @property
    def _engine(self) -> Engine:
        engine: Engine | None = self._app.state.engine
        if engine is None:
            raise ApiError(503, "the model is still loading")
        return engine

    async def models(self) -> dict[str, object]:
        """The one model that is served."""
        return {"object": "list", "data": [self._card()]}

    async def model(self, name: str) -> dict[str, object]:
        """Facts about the model."""
        self._check_model(name)
        return self._card()

    async def chat(self, request: Request, body: ChatRequest) -> Response:
        """Answer a conversation; the workload's system message leads unless there is one."""
        self._check_model(body.model)
        messages = [message.message() for message in body.messages]
        prompt = self._encode_messages(self._with_system(messages))
        free = body.response_format is not None
        limit = body.max_completion_tokens or body.max_tokens
        decoding = self._decoding(
            body,
            limit,
            choices=None if free else self._serving.decoding.choices,
            json_schema=body.json_schema(),
            logprobs=bool(body.logprobs),
        )
        form = ChatForm(self._serving.model_name, self._renderer, decoding.logprobs)
        return await self._respond(request, form, [prompt], decoding, body)

    async def completions(self, request: Request, body: CompletionRequest) -> Response:
        """Continue raw text, unconstrained."""
        self._check_model(body.model)
        prompts = self._raw_prompts(body.prompt)
        decoding = self._decoding(body, body.max_tokens, logprobs=body.logprobs is not None)
        form = TextForm(self._serving.model_name, self._renderer, decoding.logprobs)
        return await self._respond(request, form, prompts, decoding, body)

    async def predict(
        self, request: Request, rows: Sequence[dict[str, str]]
    ) -> list[dict[str, str]] | None:
        """The workload's answers to its input fields; None when the client went away."""
        template, decoding = self._serving.prompt, self._serving.decoding
        if template is None:
            raise ApiError(404, f"this workload takes whole conversations: POST {CHAT}")
        prompts = [self._encode_messages(messages_for(template, fields)) for fields in rows]
        answered = await self._answers(request, prompts, decoding)
        if answered is None:
            return None
        return [{"answer": parse_answer(one.text, decoding)} for one in answered]

    async def _respond(
        self,
        request: Request,
        form: Form,
        prompts: list[Prompt],
        decoding: Decoding,
        body: ChatRequest | CompletionRequest,
    ) -> Response:
        """Whole or streamed; of every prompt as many answers as the body asks for."""
        count = body.n or 1
        if body.stream:
            if count * len(prompts) > 1:
                raise ApiError(400, "a stream holds one answer: leave out n, send one prompt", "n")
            path = request.url.path
            return self._stream(path, form, prompts[0], decoding, body.stream_options)
        asked = [prompt for prompt in prompts for _ in range(count)]
        if len(asked) > MAX_BATCH:
            raise ApiError(400, f"at most {MAX_BATCH} answers to one request", "n")
        answers = await self._answers(request, asked, decoding)
        if answers is None:
            return Response(status_code=CLIENT_GONE)
        return JSONResponse(form.whole(answers, sum(len(each.tokens) for each in prompts)))

    async def _answers(
        self, request: Request, prompts: list[Prompt], decoding: Decoding
    ) -> list[Completion] | None:
        """Answers to all prompts, which the engine batches; None when the client went away."""
        calls = (
            self._engine.complete(prompt.tokens, _seeded(decoding, number))
            for number, prompt in enumerate(prompts)
        )
        try:
            with self._room(len(prompts)):
                async with within(self._serving.limits.answer_seconds):
                    answers = await while_connected(request, _together(calls))
        except TimeoutError:
            raise self._too_slow() from None
        for prompt, one in zip(prompts, answers or (), strict=False):
            self._meter.tokens(request.url.path, one.prompt_tokens, one.completion_tokens)
            self._answered(request.url.path, prompt, one, decoding)
        return answers

    @contextmanager
    def _room(self, answers: int) -> Iterator[None]:
        """Count answers while they are computed: the Door counts requests, of up to MAX_BATCH."""
        if self._under_way + answers > max(MAX_ANSWERS, self._serving.limits.concurrent_requests):
            raise ApiError(
                429,
                f"{self._under_way} answers are being computed; come again in a moment",
                code="overloaded",
                headers={"Retry-After": str(RETRY_SECONDS)},
            )
        self._under_way += answers
        try:
            yield
        finally:
            self._under_way -= answers

    def _card(self) -> dict[str, object]:
        return {
            "id": self._serving.model_name,
            "object": "model",
            "created": self._started,
            "owned_by": "stillhouse",
            "workload": self._serving.workload,
            "facts": self._serving.facts.model_dump(mode="json"),
        }

    def _check_model(self, name: str | None) -> None:
        if name is not None and name != self._serving.model_name:
            message = (
                f"the model {name} does not exist; this service has {self._serving.model_name}"
            )
            raise ApiError(404, message, "model", "model_not_found")

    def _with_system(self, messages: list[Message]) -> list[Message]:
        template = self._serving.prompt
        system = template.fixed_system if template else None
        if system is None or any(message["role"] == "system" for message in messages):
            return messages
        return [{"role": "system", "content": system}, *messages]

    def _encode_messages(self, messages: list[Message]) -> Prompt:
        self._check_size(sum(len(message["content"]) for message in messages), "messages")
        return Prompt(self._renderer.encode(self._renderer.render(messages)), messages)

    def _raw_prompts(self, prompt: str | Sequence[int] | Sequence[str]) -> list[Prompt]:
        if isinstance(prompt, str):
            prompt = [prompt]
        texts = [item for item in prompt if isinstance(item, str)]
        if not texts:
            self._check_size(len(prompt), "prompt")
            return [Prompt([item for item in prompt if isinstance(item, int)])]
        self._check_size(sum(map(len, texts)), "prompt")
        return [Prompt(self._renderer.encode(text)) for text in texts]

    def _check_size(self, characters: int, param: str) -> None:
        limit = self._engine.context_length * CHARACTERS_PER_TOKEN
        if characters > limit:
            message = f"{param} has {characters} characters; at most {limit} are read"
            raise ApiError(413, message, param, "context_length_exceeded")

    def _decoding(
        self,
        body: ChatRequest | CompletionRequest,
        max_tokens: int | None,
        choices: tuple[str, ...] | None = None,
        json_schema: str | None = None,
        logprobs: bool = False,
    ) -> Decoding:
        default = self._serving.decoding
        longest = default.max_new_tokens
        if max_tokens is not None:
            longest = min(max_tokens, self._serving.limits.answer_tokens)
        temperature = default.temperature if body.temperature is None else body.temperature
        plain = not (temperature or choices or json_schema or logprobs)
        try:
            return Decoding(
                max_new_tokens=min(longest, self._engine.context_length),
                temperature=temperature,
                top_p=default.top_p if body.top_p is None else body.top_p,
                seed=default.seed if body.seed is None else body.seed,
                # A choice ends by itself, so a stop text has nothing to do.
                stop=() if choices else body.stops() or default.stop,
                choices=choices,
                json_schema=json_schema,
                logprobs=logprobs,
                beams=default.beams if plain else 1,
            )
        except ValidationError as error:
            detail = error.errors()[0]
            raise ApiError(400, detail["msg"], ".".join(map(str, detail["loc"]))) from error

    def _stream(
        self,
        path: str,
        form: Form,
        prompt: Prompt,
        decoding: Decoding,
        options: StreamOptions | None,
    ) -> Response:
        chunks = self._engine.stream(prompt.tokens, decoding)
        return EventStream(self._lines(path, form, chunks, prompt, decoding, options))

    async def _lines(
        self,
        path: str,
        form: Form,
        chunks: AsyncGenerator[Chunk, None],
        prompt: Prompt,
        decoding: Decoding,
        options: StreamOptions | None,
    ) -> AsyncGenerator[bytes, None]:
        until = time.monotonic() + self._serving.limits.answer_seconds
        read = len(prompt.tokens)
        async with aclosing(chunks):
            # A prompt that is refused here is a proper error response: nothing has been sent.
            last = await self._in_time(anext(chunks), until)
            text, scored = last.text, list(last.scored)
            # Told with the first piece, and the end with the last one: sending costs by the send.
            said = sse(form.opening()) + sse(form.piece(last))
            try:
                while last.finish_reason is None:
                    yield said
                    last = await self._in_time(anext(chunks), until)
                    text, said = text + last.text, sse(form.piece(last))
                    scored += last.scored
            except EngineError as error:
                yield sse(errors.body(ApiError(500, str(error))))
                return
            except ApiError as error:
                yield sse(errors.body(error))
                return
            finally:
                self._meter.tokens(path, read, last.completion_tokens)
        whole = Completion(text, read, last.completion_tokens, last.finish_reason, tuple(scored))
        self._answered(path, prompt, whole, decoding)
        if options is not None and options.include_usage:
            said += sse(form.usage(read, last.completion_tokens))
        yield said + LAST

    async def _in_time(self, work: Awaitable[Result], until: float) -> Result:
        try:
            async with within(until - time.monotonic()):
                return await work
        except TimeoutError:
            raise self._too_slow() from None

    def _too_slow(self) -> ApiError:
        seconds = self._serving.limits.answer_seconds
        return ApiError(504, f"no whole answer within {seconds:g} s", code="timeout")

    def _answered(self, path: str, prompt: Prompt, answer: Completion, decoding: Decoding) -> None:
        """Count a whole answer and, perhaps, keep it; raw prompts are nobody's conversation."""
        facts = self._serving.facts
        self._meter.saved(path, facts.saved_per_request, facts.currency or "")
        if prompt.messages:
            self._feedback.note(prompt.messages, answer, decoding.choices is not None)


def _seeded(decoding: Decoding, number: int) -> Decoding:
    """The same for the number-th answer, which is to differ from those before it."""
    if decoding.seed is None or number == 0:
        return decoding
    return decoding.model_copy(update={"seed": (decoding.seed + number) % MAX_SEED})


def _predict_route(api: _Api, serving: Serving) -> Any:
    """A handler whose body has exactly the workload's input fields, once or several times."""
    fields: dict[str, Any] = dict.fromkeys(serving.input_fields, (str, ...))
    config = ConfigDict(extra="forbid")
    row: type[BaseModel] = create_model("Fields", __config__=config, **fields)
    rows = Annotated[list[row], Field(min_length=1, max_length=MAX_BATCH)]

    async def predict(request: Request, body: Any) -> Response:
        several = isinstance(body, list)
        asked = [one.model_dump() for one in (body if several else [body])]
        answers = await api.predict(request, asked)
        if answers is None:
            return Response(status_code=CLIENT_GONE)
        return JSONResponse(answers if several else answers[0])

    # FastAPI reads the type of the body from the annotation, and it is only known now.
    predict.__annotations__["body"] = row | rows
    predict.__doc__ = f"The {serving.workload} answer to one request, or to each of several."
    return predict


def _prediction_model(serving: Serving) -> type[BaseModel]:
    choices = serving.decoding.choices
    answer: Any = Literal[choices] if choices else str
    return create_model("Prediction", answer=(answer, ...))


async def _prompt_too_long(_: Request, error: Exception) -> Response:
    return errors.response(ApiError(400, str(error), "messages", "context_length_exceeded"))


async def _engine_failed(_: Request, error: Exception) -> Response:
    return errors.response(ApiError(500, str(error)))


async def _together(calls: Iterable[Coroutine[Any, Any, Result]]) -> list[Result]:
    """All results in order; when one fails, the others are cancelled."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(call) for call in calls]
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None
    return [task.result() for task in tasks]
