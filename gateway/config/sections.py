"""What all sections of the settings have in common."""

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from gateway.config import urls


class Section(BaseModel):
    """A mapping in the file. `shorthand` names the key that a plain string there stands for."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    shorthand: ClassVar[str] = ""

    @classmethod
    def settable(cls) -> list[str]:
        """That may be written there."""
        return [key for key, described in cls.model_fields.items() if not described.exclude]


class Addressed(Section):
    """A section that a URL stands for; the URL's query holds its other keys."""

    shorthand: ClassVar[str] = "url"
    ports: ClassVar[dict[str, int]]
    example: ClassVar[str]
    in_query: ClassVar[frozenset[str]]

    url: str = Field(description="scheme://host:port")

    @model_validator(mode="before")
    @classmethod
    def _from_url(cls, value: Any) -> Any:
        if isinstance(value, str):
            value = {"url": value}
        if isinstance(value, dict) and isinstance(value.get("url"), str):
            try:
                options = urls.parse(value["url"], cls.ports, cls.example).options
            except ValueError:
                return value  # the URL's own check says what is wrong
            for key, said in options.items():
                if key in cls.in_query and key in value and str(value[key]).lower() != said.lower():
                    raise ValueError(f"{key} is {said} in the URL and {value[key]} beside it; say it once")
            return dict(options) | value
        return value

    @field_validator("url")
    @classmethod
    def _is_url(cls, value: str) -> str:
        for key in urls.parse(value, cls.ports, cls.example).options:
            if key in cls.model_fields and key not in cls.in_query:  # what is no setting at all is told as such
                raise ValueError(f"{key!r} cannot stand in the URL; write a mapping with url: and {key}:")
        return value

    def place(self) -> urls.Place:
        return urls.parse(self.url, self.ports, self.example)
