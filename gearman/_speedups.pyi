from ._framing import Decoder as Decoder
from ._framing import encode as encode
