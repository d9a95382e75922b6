"""Published layouts that need remote code, brought to native architectures without running any."""
