"""One module a stage, found by its name; each has `run(ctx: StageContext) -> None`."""
