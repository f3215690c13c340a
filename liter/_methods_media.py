"""The client's methods: images and sound."""

from typing import TYPE_CHECKING

from ._calls import Calls
from ._operation import operation
from ._options import CallOptions
from ._stream import EventStream
from .types import BinaryContent, ImageEvent, ImageGenerationRequest, ImagesResponse, SpeechRequest

if TYPE_CHECKING:

    class ImageGenerationKeywords(ImageGenerationRequest, CallOptions, frozen=True):
        """What ``image_generate`` and ``image_stream`` take, for type checkers."""

    class SpeechKeywords(SpeechRequest, CallOptions, frozen=True):
        """What ``speech`` and ``speech_stream`` take, for type checkers."""
else:
    ImageGenerationKeywords = SpeechKeywords = CallOptions


class MediaMethods(Calls):
    """Images and sound."""

    @operation(ImageGenerationRequest, CallOptions, ImageGenerationKeywords)
    async def image_generate(self, request: ImageGenerationRequest, options: CallOptions) -> ImagesResponse:
        """Make images of what a text says.

        :raises ValueError: a parameter is unknown or makes no sense; before any I/O
        :raises LlmError: see ``liter``'s error tree
        """
        return await self._run(
            "image_generate", request.model or f"{self._routes.home}/", request, options, ImagesResponse
        )

    @operation(ImageGenerationRequest, CallOptions, ImageGenerationKeywords)
    async def image_stream(self, request: ImageGenerationRequest, options: CallOptions) -> EventStream[ImageEvent]:
        """Make an image, and see it while it is being made: ``partial_images`` unfinished ones, then the whole.

        :raises ValueError: a parameter is unknown or makes no sense; before any I/O
        :raises LlmError: see ``liter``'s error tree
        """
        call = self._call(
            "image_generate", request.model or f"{self._routes.home}/", request, options, ImageEvent, stream=True
        )
        return EventStream(*await self._open(call))

    @operation(SpeechRequest, CallOptions, SpeechKeywords)
    async def speech(self, request: SpeechRequest, options: CallOptions) -> BinaryContent:
        """Speak a text. The result is ``bytes``, in the format asked for.

        :raises ValueError: a parameter is unknown or makes no sense; before any I/O
        :raises LlmError: see ``liter``'s error tree
        """
        return await self._run("speech", request.model, request, options, BinaryContent)

    @operation(SpeechRequest, CallOptions, SpeechKeywords)
    async def speech_stream(self, request: SpeechRequest, options: CallOptions) -> EventStream[bytes]:
        """Speak a text, and get the sound in pieces as it is made.

        :raises ValueError: a parameter is unknown or makes no sense; before any I/O
        :raises LlmError: see ``liter``'s error tree
        """
        call = self._call("speech", request.model, request, options, bytes, stream=True)
        return EventStream(*await self._open(call))
