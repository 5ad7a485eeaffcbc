"""Errors in the form of the OpenAI API.

    {"error": {"message": "…", "type": "invalid_request_error", "param": "model", "code": null}}

Whatever goes wrong is told in this form, and never with a stack trace.
"""

import logging
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
    """Answer every error of the application in this form."""

    async def known(_: Request, error: Exception) -> Response:
        match error:
            case ApiError():
                return response(error)
            case RequestValidationError():
                return response(_invalid(error))
            case HTTPException():
                told = ApiError(error.status_code, str(error.detail), headers=error.headers)
                return response(told)
            case ValueError():
                return response(ApiError(400, str(error)))
            case _:
                # What it says may hold a piece of a request, so it goes into no log of ours.
                _log.error("a request failed: %s", type(error).__name__)
                return response(ApiError(500, "the service failed at this request"))

    for kind in (ApiError, RequestValidationError, HTTPException, ValueError, Exception):
        app.add_exception_handler(kind, known)


def _invalid(error: RequestValidationError) -> ApiError:
    detail = error.errors()[0]
    param = ".".join(str(part) for part in detail["loc"][1:])
    if detail["type"] == "extra_forbidden":
        message = f"{param} is not supported by this service; leave it out"
        return ApiError(400, message, param, "unsupported_parameter")
    return ApiError(400, f"{param or 'body'}: {detail['msg']}", param or None, "invalid_value")
