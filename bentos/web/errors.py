"""Errors in the form of the OpenAI API.

    {"error": {"message": "…", "type": "invalid_request_error", "param": "model", "code": null}}

Whatever goes wrong is told in this form, and never with a stack trace.
"""

import logging
import traceback
from collections.abc import Mapping
from typing import Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel
from starlette.exceptions import HTTPException

TYPES: Final[Mapping[int, str]] = {
    401: "authentication_error",
    403: "permission_error",
    429: "rate_limit_error",
}
"""Of an error by its status; other ones are the client's (4xx) or the server's (5xx)."""

FRAMES: Final = 4
"""Of an unexpected error, in the log: the innermost ones."""

_log = logging.getLogger(__name__)


class ErrorDetail(BaseModel):
    """What went wrong; see ApiError."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorBody(BaseModel):
    """An error as a client gets it."""

    error: ErrorDetail


class ApiError(Exception):
    """Becomes an error response.

    Attributes:
        status: of HTTP.
        param: the field of the request that is wrong.
        code: what a program may look for, such as context_length_exceeded.
        headers: of the response.
    """

    def __init__(
        self,
        status: int,
        message: str,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.param, self.code, self.headers = status, param, code, headers


def body(error: ApiError) -> dict[str, object]:
    """The JSON that a client gets."""
    other = "invalid_request_error" if error.status < 500 else "server_error"
    kind = TYPES.get(error.status, other)
    detail = ErrorDetail(message=str(error), type=kind, param=error.param, code=error.code)
    return ErrorBody(error=detail).model_dump()


def response(error: ApiError) -> Response:
    """The whole response."""
    headers = dict(error.headers) if error.headers else None
    return JSONResponse(body(error), status_code=error.status, headers=headers)


def add_handlers(app: FastAPI) -> None:
    """Answer every expected error of the application in this form.

    Not Exception: Starlette handles that outside of all middleware, where no meter sees the answer,
    and raises it again, so that the server logs its text. The Door catches it.
    """

    async def known(_: Request, error: Exception) -> Response:
        match error:
            case ApiError():
                return response(error)
            case RequestValidationError():
                return response(_invalid(error))
            case HTTPException():
                told = ApiError(error.status_code, str(error.detail), headers=error.headers)
                return response(told)
            case _:
                return response(ApiError(400, str(error)))

    for kind in (ApiError, RequestValidationError, HTTPException, ValueError):
        app.add_exception_handler(kind, known)


def unexpected(error: Exception) -> Response:
    """Log what went wrong and where, and answer that something did.

    What the error says may hold a piece of a request, so it goes into no log.
    """
    _log.error("a request failed: %s", _place(error))
    return response(ApiError(500, "the service failed at this request"))


def _place(error: BaseException) -> str:
    frames = list(traceback.walk_tb(error.__traceback__))[-FRAMES:]
    lines = (f"{frame.f_code.co_filename}:{line}" for frame, line in frames)
    place = f"{type(error).__name__} at {' > '.join(lines) or 'an unknown place'}"
    return f"{place}, because of {_place(error.__cause__)}" if error.__cause__ else place


def _invalid(error: RequestValidationError) -> ApiError:
    detail = error.errors()[0]
    param = ".".join(str(part) for part in detail["loc"][1:])
    if detail["type"] == "extra_forbidden":
        message = f"{param} is not supported by this service; leave it out"
        return ApiError(400, message, param, "unsupported_parameter")
    return ApiError(400, f"{param or 'body'}: {detail['msg']}", param or None, "invalid_value")
