from tests.echo import echo_service, start

__all__ = ["echo_service", "start"]
