"""What every endpoint's OpenAPI document says beside its own answer.

FastAPI(responses=openapi.ERRORS)
app.add_api_route(path, answer, methods=["POST"], responses=openapi.STREAM)
"""

from typing import Any, Final

from bentos.web.errors import ErrorBody

Responses = dict[int | str, dict[str, Any]]

ERRORS: Final[Responses] = {
    "4XX": {"model": ErrorBody, "description": "The request is wrong, not allowed or too much."},
    "5XX": {"model": ErrorBody, "description": "The service failed at the request."},
}

STREAM: Final[Responses] = {
    200: {"description": "Whole, or in pieces.", "content": {"text/event-stream": {}}}
}
