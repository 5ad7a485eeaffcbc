"""The HTTP interface of one model: OpenAI's endpoints and a typed /predict.

app = create_app(serving, renderer)
app.state.engine = load_engine(serving.engine, folder)
"""

import asyncio
import json
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Sequence
from contextlib import aclosing
from typing import Any, Literal, TypeVar

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response, StreamingResponse
from prometheus_client import Counter
from pydantic import BaseModel, ConfigDict, ValidationError, create_model
from starlette.exceptions import HTTPException

from bentos.generator.decoding import Decoding
from bentos.generator.engine import Chunk, Completion, Engine, EngineError, PromptTooLongError
from bentos.generator.openai_types import ChatRequest, CompletionRequest, StreamOptions
from bentos.generator.parse import parse_answer
from bentos.generator.prompt import Message, Renderer, messages_for
from bentos.generator.serving import Serving

CHARACTERS_PER_TOKEN = 32
"""A longer text than this times the context cannot fit; it is refused without tokenizing it."""
CLIENT_GONE = 499

Result = TypeVar("Result")


class ApiError(Exception):
    """Becomes an error response in OpenAI's form."""

    def __init__(
        self, status: int, message: str, param: str | None = None, code: str | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.param, self.code = status, param, code


def create_app(serving: Serving, renderer: Renderer) -> FastAPI:
    """The application; its `state.engine` must be set before the first request."""
    app = FastAPI(title=serving.model_name, description=f"Workload {serving.workload}")
    app.state.engine = None
    api = _Api(app, serving, renderer)
    _add_errors(app)
    app.add_api_route("/v1/models", api.models, methods=["GET"])
    app.add_api_route("/v1/models/{name}", api.model, methods=["GET"])
    app.add_api_route("/v1/chat/completions", api.chat, methods=["POST"])
    app.add_api_route("/v1/completions", api.completions, methods=["POST"])
    app.add_api_route(
        "/predict",
        _predict_route(api, serving),
        methods=["POST"],
        response_model=_prediction_model(serving),
    )
    return app


class _Api:
    def __init__(self, app: FastAPI, serving: Serving, renderer: Renderer) -> None:
        self._app, self._serving, self._renderer = app, serving, renderer
        self._started = int(time.time())
        self._tokens = Counter(
            "stillhouse_tokens", "Tokens read and written", ["workload", "direction"]
        )

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
        decoding = self._decoding(body, limit, None if free else self._serving.decoding.choices)
        if body.stream:
            return await self._stream(_ChatForm(self._head("chatcmpl")), prompt, decoding, body)
        completion = await _while_connected(request, self._engine.complete(prompt, decoding))
        if completion is None:
            return Response(status_code=CLIENT_GONE)
        self._count(completion.prompt_tokens, completion.completion_tokens)
        return _ChatForm(self._head("chatcmpl")).whole([completion])

    async def completions(self, request: Request, body: CompletionRequest) -> Response:
        """Continue raw text, unconstrained."""
        self._check_model(body.model)
        prompts = self._raw_prompts(body.prompt)
        decoding = self._decoding(body, body.max_tokens, None)
        form = _TextForm(self._head("cmpl"))
        if body.stream:
            if len(prompts) > 1:
                raise ApiError(400, "a stream answers one prompt", "prompt")
            return await self._stream(form, prompts[0], decoding, body)
        answers = asyncio.gather(*(self._engine.complete(p, decoding) for p in prompts))
        completions = await _while_connected(request, _await(answers))
        if completions is None:
            return Response(status_code=CLIENT_GONE)
        for completion in completions:
            self._count(completion.prompt_tokens, completion.completion_tokens)
        return form.whole(completions)

    async def predict(self, request: Request, fields: dict[str, str]) -> Response:
        """The workload's answer to its input fields."""
        decoding = self._serving.decoding
        if self._serving.prompt is None:
            raise ApiError(
                404, "this workload takes whole conversations: POST /v1/chat/completions"
            )
        prompt = self._encode_messages(messages_for(self._serving.prompt, fields))
        completion = await _while_connected(request, self._engine.complete(prompt, decoding))
        if completion is None:
            return Response(status_code=CLIENT_GONE)
        self._count(completion.prompt_tokens, completion.completion_tokens)
        return JSONResponse({"answer": parse_answer(completion.text, decoding)})

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
        system = template.system if template else None
        if template is None or system is None or template.fields_of(system):
            return messages
        if any(message["role"] == "system" for message in messages):
            return messages
        return [{"role": "system", "content": system}, *messages]

    def _encode_messages(self, messages: list[Message]) -> list[int]:
        self._check_size(sum(len(message["content"]) for message in messages), "messages")
        return self._renderer.encode(self._renderer.render(messages))

    def _raw_prompts(self, prompt: str | Sequence[int] | Sequence[str]) -> list[list[int]]:
        if isinstance(prompt, str):
            prompt = [prompt]
        texts = [item for item in prompt if isinstance(item, str)]
        if not texts:
            self._check_size(len(prompt), "prompt")
            return [[item for item in prompt if isinstance(item, int)]]
        self._check_size(sum(map(len, texts)), "prompt")
        return [self._renderer.encode(text) for text in texts]

    def _check_size(self, characters: int, param: str) -> None:
        limit = self._engine.context_length * CHARACTERS_PER_TOKEN
        if characters > limit:
            message = f"{param} has {characters} characters; at most {limit} are read"
            raise ApiError(413, message, param, "context_length_exceeded")

    def _decoding(
        self,
        body: ChatRequest | CompletionRequest,
        max_tokens: int | None,
        choices: tuple[str, ...] | None,
    ) -> Decoding:
        default = self._serving.decoding
        longest = max_tokens or default.max_new_tokens
        try:
            return Decoding(
                max_new_tokens=min(longest, self._engine.context_length),
                temperature=default.temperature if body.temperature is None else body.temperature,
                top_p=default.top_p if body.top_p is None else body.top_p,
                seed=default.seed if body.seed is None else body.seed,
                # A choice ends by itself, so a stop text has nothing to do.
                stop=() if choices else body.stops() or default.stop,
                choices=choices,
            )
        except ValidationError as error:
            detail = error.errors()[0]
            raise ApiError(400, detail["msg"], ".".join(map(str, detail["loc"]))) from error

    def _head(self, prefix: str) -> dict[str, object]:
        return {
            "id": f"{prefix}-{uuid.uuid4().hex}",
            "created": int(time.time()),
            "model": self._serving.model_name,
        }

    async def _stream(
        self,
        form: "_ChatForm | _TextForm",
        prompt: list[int],
        decoding: Decoding,
        body: ChatRequest | CompletionRequest,
    ) -> Response:
        chunks = self._engine.stream(prompt, decoding)
        # The first piece is awaited here, so that a refused prompt is a proper error response.
        first = await anext(chunks)
        lines = self._lines(form, first, chunks, len(prompt), body.stream_options)
        return StreamingResponse(lines, media_type="text/event-stream")

    async def _lines(
        self,
        form: "_ChatForm | _TextForm",
        first: Chunk,
        chunks: AsyncGenerator[Chunk, None],
        prompt_tokens: int,
        options: StreamOptions | None,
    ) -> AsyncIterator[str]:
        tokens = 0
        async with aclosing(_chained(first, chunks)) as answer:
            try:
                yield _event(form.opening())
                async for chunk in answer:
                    tokens = chunk.completion_tokens
                    yield _event(form.piece(chunk))
            except EngineError as error:
                yield _event(_error_body(ApiError(500, str(error))))
                return
            finally:
                self._count(prompt_tokens, tokens)
        if options is not None and options.include_usage:
            yield _event(form.usage(prompt_tokens, tokens))
        yield "data: [DONE]\n\n"

    def _count(self, prompt_tokens: int, completion_tokens: int) -> None:
        self._tokens.labels(self._serving.workload, "prompt").inc(prompt_tokens)
        self._tokens.labels(self._serving.workload, "completion").inc(completion_tokens)


class _ChatForm:
    """Responses of /v1/chat/completions."""

    def __init__(self, head: dict[str, object]) -> None:
        self._head = head

    def whole(self, completions: Sequence[Completion]) -> Response:
        choices = [
            {
                "index": index,
                "message": {"role": "assistant", "content": one.text},
                "logprobs": None,
                "finish_reason": one.finish_reason,
            }
            for index, one in enumerate(completions)
        ]
        body = {**self._head, "object": "chat.completion", "choices": choices}
        return JSONResponse({**body, "usage": _usage_of(completions)})

    def opening(self) -> dict[str, object]:
        return self._chunk({"role": "assistant", "content": ""}, None)

    def piece(self, chunk: Chunk) -> dict[str, object]:
        return self._chunk({"content": chunk.text} if chunk.text else {}, chunk.finish_reason)

    def usage(self, prompt_tokens: int, completion_tokens: int) -> dict[str, object]:
        usage = _usage(prompt_tokens, completion_tokens)
        return {**self._head, "object": "chat.completion.chunk", "choices": [], "usage": usage}

    def _chunk(self, delta: dict[str, str], finish_reason: str | None) -> dict[str, object]:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return {**self._head, "object": "chat.completion.chunk", "choices": [choice]}


class _TextForm:
    """Responses of /v1/completions."""

    def __init__(self, head: dict[str, object]) -> None:
        self._head = {**head, "object": "text_completion"}

    def whole(self, completions: Sequence[Completion]) -> Response:
        choices = [
            _text_choice(index, one.text, one.finish_reason)
            for index, one in enumerate(completions)
        ]
        return JSONResponse({**self._head, "choices": choices, "usage": _usage_of(completions)})

    def opening(self) -> dict[str, object]:
        return {**self._head, "choices": [_text_choice(0, "", None)]}

    def piece(self, chunk: Chunk) -> dict[str, object]:
        return {**self._head, "choices": [_text_choice(0, chunk.text, chunk.finish_reason)]}

    def usage(self, prompt_tokens: int, completion_tokens: int) -> dict[str, object]:
        return {**self._head, "choices": [], "usage": _usage(prompt_tokens, completion_tokens)}


def _text_choice(index: int, text: str, finish_reason: str | None) -> dict[str, object]:
    return {"index": index, "text": text, "logprobs": None, "finish_reason": finish_reason}


def _usage_of(completions: Sequence[Completion]) -> dict[str, int]:
    return _usage(
        sum(one.prompt_tokens for one in completions),
        sum(one.completion_tokens for one in completions),
    )


def _usage(prompt_tokens: int, completion_tokens: int) -> dict[str, int]:
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
    }


def _event(body: dict[str, object]) -> str:
    return f"data: {json.dumps(body, ensure_ascii=False, separators=(',', ':'))}\n\n"


def _predict_route(api: _Api, serving: Serving) -> Any:
    """A handler whose body has exactly the workload's input fields."""
    fields: dict[str, Any] = dict.fromkeys(serving.input_fields, (str, ...))
    config = ConfigDict(extra="forbid")
    body_model: type[BaseModel] = create_model("Fields", __config__=config, **fields)

    async def predict(request: Request, body: Any) -> Response:
        return await api.predict(request, body.model_dump())

    # FastAPI reads the type of the body from the annotation, and it is only known now.
    predict.__annotations__["body"] = body_model
    predict.__doc__ = f"The {serving.workload} answer to one request."
    return predict


def _prediction_model(serving: Serving) -> type[BaseModel]:
    choices = serving.decoding.choices
    answer: Any = Literal[choices] if choices else str
    return create_model("Prediction", answer=(answer, ...))


def _add_errors(app: FastAPI) -> None:
    async def api_error(_: Request, error: Exception) -> Response:
        match error:
            case ApiError():
                known = error
            case PromptTooLongError():
                known = ApiError(400, str(error), "messages", "context_length_exceeded")
            case RequestValidationError():
                known = _invalid(error)
            case ValueError():
                known = ApiError(400, str(error))
            case HTTPException():
                known = ApiError(error.status_code, str(error.detail))
            case _:
                known = ApiError(500, str(error))
        return JSONResponse(_error_body(known), status_code=known.status)

    kinds = (
        ApiError,
        ValueError,
        EngineError,
        RequestValidationError,
        HTTPException,
    )
    for kind in kinds:
        app.add_exception_handler(kind, api_error)


def _invalid(error: RequestValidationError) -> ApiError:
    detail = error.errors()[0]
    param = ".".join(str(part) for part in detail["loc"][1:])
    if detail["type"] == "extra_forbidden":
        message = f"{param} is not supported by this service; leave it out"
        return ApiError(400, message, param, "unsupported_parameter")
    return ApiError(400, f"{param or 'body'}: {detail['msg']}", param or None, "invalid_value")


def _error_body(error: ApiError) -> dict[str, object]:
    kind = "invalid_request_error" if error.status < 500 else "server_error"
    body = {"message": str(error), "type": kind, "param": error.param, "code": error.code}
    return {"error": body}


async def _while_connected(request: Request, work: Coroutine[Any, Any, Result]) -> Result | None:
    """The result, or None when the client went away, which cancels the work."""
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        for one in (task, gone):
            one.cancel()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _await(future: "asyncio.Future[Result]") -> Result:
    return await future


async def _chained(first: Chunk, rest: AsyncGenerator[Chunk, None]) -> AsyncGenerator[Chunk, None]:
    """`first`, then the rest, which is closed in any case."""
    async with aclosing(rest):
        yield first
        async for chunk in rest:
            yield chunk
