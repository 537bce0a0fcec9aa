"""What holds for every test: no telemetry, patient Hypothesis, no leftover cache."""

from __future__ import annotations

from hypothesis import settings as hypothesis_settings

from tundish.kernel import settings

settings.silence_onnxruntime()
hypothesis_settings.register_profile("shared", deadline=None)
hypothesis_settings.load_profile("shared")
