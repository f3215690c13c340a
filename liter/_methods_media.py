"""The client's methods: images and sound."""

from typing import TYPE_CHECKING

from ._calls import Calls
from ._operation import operation
from ._options import CallOptions
from ._stream import EventStream
from .types import (
    BinaryContent,
    ImageEditRequest,
    ImageEvent,
    ImageGenerationRequest,
    ImagesResponse,
    ImageVariationRequest,
    SpeechRequest,
    TranscriptionEvent,
    TranscriptionRequest,
    TranscriptionResponse,
    TranslationRequest,
)

if TYPE_CHECKING:

    class ImageGenerationKeywords(ImageGenerationRequest, CallOptions, frozen=True):
        """What ``image_generate`` and ``image_stream`` take, for type checkers."""

    class SpeechKeywords(SpeechRequest, CallOptions, frozen=True):
        """What ``speech`` and ``speech_stream`` take, for type checkers."""

    class ImageEditKeywords(ImageEditRequest, CallOptions, frozen=True):
        """What ``image_edit`` and ``image_edit_stream`` take, for type checkers."""

    class ImageVariationKeywords(ImageVariationRequest, CallOptions, frozen=True):
        """What ``image_variation`` takes, for type checkers."""

    class TranscriptionKeywords(TranscriptionRequest, CallOptions, frozen=True):
        """What ``transcribe`` and ``transcribe_stream`` take, for type checkers."""

    class TranslationKeywords(TranslationRequest, CallOptions, frozen=True):
        """What ``translate`` takes, for type checkers."""
else:
    ImageGenerationKeywords = SpeechKeywords = ImageEditKeywords = ImageVariationKeywords = CallOptions
    TranscriptionKeywords = TranslationKeywords = CallOptions


class MediaMethods(Calls):
    """Images and sound."""

    @operation(ImageGenerationRequest, CallOptions, ImageGenerationKeywords)
    async def image_generate(self, request: ImageGenerationRequest, options: CallOptions) -> ImagesResponse:
        """Make images of what a text says.

        :raises ValueError: a parameter is unknown or makes no sense; before any I/O
        :raises LlmError: see ``liter``'s error tree
        """
        return await self._run("image_generate", request.model or self._whose(None), request, options, ImagesResponse)

    @operation(ImageGenerationRequest, CallOptions, ImageGenerationKeywords)
    async def image_stream(self, request: ImageGenerationRequest, options: CallOptions) -> EventStream[ImageEvent]:
        """Make an image, and see it while it is being made: ``partial_images`` unfinished ones, then the whole.

        :raises ValueError: a parameter is unknown or makes no sense; before any I/O
        :raises LlmError: see ``liter``'s error tree
        """
        call = self._call(
            "image_generate", request.model or self._whose(None), request, options, ImageEvent, stream=True
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

    @operation(ImageEditRequest, CallOptions, ImageEditKeywords)
    async def image_edit(self, request: ImageEditRequest, options: CallOptions) -> ImagesResponse:
        """Change images as a text says.

        :raises ValueError: a parameter is unknown or makes no sense; before any I/O
        :raises LlmError: see ``liter``'s error tree
        """
        return await self._run("image_edit", request.model or self._whose(None), request, options, ImagesResponse)

    @operation(ImageEditRequest, CallOptions, ImageEditKeywords)
    async def image_edit_stream(self, request: ImageEditRequest, options: CallOptions) -> EventStream[ImageEvent]:
        """Change images, and see the outcome while it is being made.

        :raises ValueError: a parameter is unknown or makes no sense; before any I/O
        :raises LlmError: see ``liter``'s error tree
        """
        call = self._call("image_edit", request.model or self._whose(None), request, options, ImageEvent, stream=True)
        return EventStream(*await self._open(call))

    @operation(ImageVariationRequest, CallOptions, ImageVariationKeywords)
    async def image_variation(self, request: ImageVariationRequest, options: CallOptions) -> ImagesResponse:
        """Make images like one.

        :raises ValueError: a parameter is unknown or makes no sense; before any I/O
        :raises LlmError: see ``liter``'s error tree
        """
        return await self._run("image_variation", request.model or self._whose(None), request, options, ImagesResponse)

    @operation(TranscriptionRequest, CallOptions, TranscriptionKeywords)
    async def transcribe(self, request: TranscriptionRequest, options: CallOptions) -> TranscriptionResponse:
        """Write down a recording, in its own language.

        :raises ValueError: a parameter is unknown or makes no sense; before any I/O
        :raises LlmError: see ``liter``'s error tree
        """
        return await self._run("transcribe", request.model, request, options, TranscriptionResponse)

    @operation(TranscriptionRequest, CallOptions, TranscriptionKeywords)
    async def transcribe_stream(
        self, request: TranscriptionRequest, options: CallOptions
    ) -> EventStream[TranscriptionEvent]:
        """Write down a recording, and get the text as it is understood.

        :raises ValueError: a parameter is unknown or makes no sense; before any I/O
        :raises LlmError: see ``liter``'s error tree
        """
        call = self._call("transcribe", request.model, request, options, TranscriptionEvent, stream=True)
        return EventStream(*await self._open(call))

    @operation(TranslationRequest, CallOptions, TranslationKeywords)
    async def translate(self, request: TranslationRequest, options: CallOptions) -> TranscriptionResponse:
        """Write down a recording in English.

        :raises ValueError: a parameter is unknown or makes no sense; before any I/O
        :raises LlmError: see ``liter``'s error tree
        """
        return await self._run("translate", request.model, request, options, TranscriptionResponse)
