"""FastAPI's hello, for uvicorn and for Tidegate alike."""

from fastapi import FastAPI

app = FastAPI()


@app.get("/api/v1/hello")
async def hello() -> dict[str, str]:
    """Answers with a small JSON."""
    return {"message": "Hello World"}
