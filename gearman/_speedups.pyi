from ._framing import Decoder as Decoder
from ._framing import encode as encode
from ._framing import encode_request as encode_request
