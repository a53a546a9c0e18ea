"""The stages, one module each, found by name; each has `run(ctx: StageContext) -> None`."""
