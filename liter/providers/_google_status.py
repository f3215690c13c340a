"""The codes of ``google.rpc.Code``, which errors of single requests are told by, as HTTP has them."""

from collections.abc import Mapping

HTTP_STATUS: Mapping[int, int] = {
    1: 499, 2: 500, 3: 400, 4: 504, 5: 404, 6: 409, 7: 403, 8: 429, 9: 400, 10: 409, 11: 400, 12: 501, 13: 500,
    14: 503, 15: 500, 16: 401,
}  # fmt: skip
