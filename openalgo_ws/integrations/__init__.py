"""The gateway inside other people's programs."""
