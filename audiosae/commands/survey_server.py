"""The server of an opened survey on this computer: an application of WSGI, and the server that runs it.

Only requests with the random token in their path, for this host and from its own page are answered. Every path is
looked up in a list of names, so no other file can be reached.
"""

from __future__ import annotations

import hmac
import logging
import os
import secrets
import socket
from dataclasses import dataclass, field
from http import HTTPStatus
from mimetypes import guess_type
from typing import TYPE_CHECKING, Any

from waitress import create_server
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Request, Response

from audiosae.commands.edited_tables import ChangedMeanwhileError
from audiosae.commands.recording_checks import ChangedRecordingError, NotInSurveyError
from audiosae.errors import AudiosaeError, InputError
from audiosae.views.page import as_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from audiosae.commands.opened_survey import OpenedSurvey

HOST = "127.0.0.1"
_START = "start"  # of the path that leads to the page once
_THREADS = 8
_BODY = 64 * 2**20  # bytes of a request
_COMMON = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_PAGE_POLICY = "frame-ancestors 'none'; form-action 'none'; base-uri 'none'"  # besides that in the page
_FILE_POLICY = "sandbox allow-scripts"  # other pages cannot ask this server
_OWN_SITES = {"same-origin", "none"}  # of Sec-Fetch-Site


@dataclass
class Refusal(Exception):  # noqa: N818
    """Why a request is not answered."""

    status: HTTPStatus
    reason: str


@dataclass
class SurveyApplication:
    """Answers the requests of the page.

    Attributes
    ----------
    say
        Receives a message on each unexpected error.
    port
        Port of the server, which is part of the names of its host.
    """

    survey: OpenedSurvey
    say: Callable[[str], None]
    port: int = 0
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    _once: str = field(default_factory=lambda: secrets.token_urlsafe(24))

    @property
    def address(self) -> str:
        """Address of the page."""
        return f"http://{HOST}:{self.port}/{self.token}/"

    @property
    def start_address(self) -> str:
        """Address that leads to the page once: other users of this computer see the arguments of a browser."""
        return f"http://{HOST}:{self.port}/{_START}/{self._once}"

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer a request, as WSGI has it."""
        request = Request(environ)
        try:
            response = self._answer(request)
        except Refusal as refusal:
            response = _text(refusal.reason, refusal.status)
        except ChangedMeanwhileError as error:
            response = _text(str(error), HTTPStatus.CONFLICT)
        except NotInSurveyError as error:
            response = _text(str(error), HTTPStatus.NOT_FOUND)
        except ChangedRecordingError as error:
            response = _text(str(error), HTTPStatus.GONE)
        except AudiosaeError as error:
            response = _text(str(error), HTTPStatus.BAD_REQUEST)
        except HTTPException as error:
            response = Response(error.get_response(environ).response, error.code, error.get_headers(environ))
        except OSError as error:
            response = _text(f"{error.strerror or error}: {error.filename}", HTTPStatus.INTERNAL_SERVER_ERROR)
        except Exception as error:  # noqa: BLE001 (the server goes on)
            self.say(f"request failed: {type(error).__name__}: {error}")
            response = _text("unexpected error; the terminal has the message", HTTPStatus.INTERNAL_SERVER_ERROR)
        for name, value in _COMMON.items():
            response.headers.setdefault(name, value)
        return response(environ, start_response)

    def _answer(self, request: Request) -> Response:
        self._check(request)
        _, token, *rest = request.path.split("/", 2)
        if token == _START and self._once and _same(rest[0] if rest else "", self._once):
            self._once = ""
            return Response(status=HTTPStatus.FOUND, headers={"Location": f"/{self.token}/"})
        if not _same(token, self.token) or not rest:
            raise Refusal(HTTPStatus.FORBIDDEN, "wrong address: open the one that audiosae open has printed")
        name = rest[0] if rest else ""
        actions = {
            ("GET", ""): self._page,
            ("GET", "sound"): self._sound,
            ("GET", "excerpt"): self._excerpt,
            ("PUT", "labels.csv"): self._save,
            ("PUT", "names.csv"): self._save,
            ("POST", "search"): self._search,
        }
        method = "GET" if request.method == "HEAD" else request.method
        if action := actions.get((method, name)):
            return action(request)
        if method != "GET":
            raise Refusal(HTTPStatus.METHOD_NOT_ALLOWED, f"{method} is not possible here")
        return self._file(name)

    def _check(self, request: Request) -> None:
        """Refuse requests for another host, as from a name that leads here, and from pages of other sites."""
        hosts = [f"{name}:{self.port}" for name in (HOST, "localhost")]
        origin, site = request.headers.get("Origin"), request.headers.get("Sec-Fetch-Site", "none")
        navigating = request.method == "GET" and request.headers.get("Sec-Fetch-Mode") == "navigate"
        if request.headers.get("Host", "") not in hosts:
            raise Refusal(HTTPStatus.FORBIDDEN, "wrong host")
        if (origin is not None and origin not in {f"http://{host}" for host in hosts}) or (
            site not in _OWN_SITES and not navigating
        ):
            raise Refusal(HTTPStatus.FORBIDDEN, "requests of other sites are refused")

    def _page(self, _: Request) -> Response:
        return Response(self.survey.served(), mimetype="text/html", headers={"Content-Security-Policy": _PAGE_POLICY})

    def _sound(self, request: Request) -> Response:
        cut = self.survey.cutter.cut(*_stretch(request))
        response = Response(cut.sound.content, mimetype=cut.sound.kind)
        response.headers["Cache-Control"] = "private, max-age=3600"
        response.headers["Accept-Ranges"] = "bytes"
        response.add_etag()
        if request.range is not None and len(request.range.ranges) > 1:  # may be answered with the whole
            return response
        return response.make_conditional(request, accept_ranges=True, complete_length=len(cut.sound.content))

    def _excerpt(self, request: Request) -> Response:
        cut = self.survey.cutter.cut(*_stretch(request))
        highest = cut.sound.rate / 2
        return _json({"from": cut.start, "to": cut.end, "slowed": cut.sound.slowed, "highest": highest})

    def _save(self, request: Request) -> Response:
        version = request.headers.get("If-Match", "").strip('"')
        tables = self.survey.tables
        save = tables.save_labels if request.path.endswith("/labels.csv") else tables.save_names
        return _json(save(request.get_data(), version)._asdict())

    def _search(self, request: Request) -> Response:
        if self.survey.search is None:
            raise InputError(f"no search: {self.survey.no_search}")
        return _json(self.survey.search.find(request.get_data()))

    def _file(self, name: str) -> Response:
        path = self.survey.file(name)
        if path is None:
            raise Refusal(HTTPStatus.NOT_FOUND, "no such file in this survey")
        kind = guess_type(path.name)[0] or "application/octet-stream"
        return Response(path.read_bytes(), mimetype=kind, headers={"Content-Security-Policy": _FILE_POLICY})


def _same(given: str, secret: str) -> bool:
    return hmac.compare_digest(given.encode(), secret.encode())


def _stretch(request: Request) -> tuple[str, float, float]:
    try:
        return request.args["recording"], float(request.args["start"]), float(request.args["end"])
    except (KeyError, ValueError) as error:
        raise InputError("wanted recording, start and end in seconds") from error


def _text(text: str, status: HTTPStatus) -> Response:
    return Response(f"{text}\n", status, mimetype="text/plain")


def _json(value: object) -> Response:
    return Response(str(as_json(value)), mimetype="application/json")


class SurveyServer:
    """The server of an opened survey, listening on a port of this computer.

    Parameters
    ----------
    ports
        Ports to try, in order; 0 is any that is free.

    Raises
    ------
    InputError
        No port is free.
    """

    def __init__(self, survey: OpenedSurvey, ports: Sequence[int], say: Callable[[str], None]) -> None:
        for name in ("waitress", "waitress.queue"):
            logging.getLogger(name).setLevel(logging.CRITICAL)  # the application reports errors
        listening = _listening(ports)
        self.application: SurveyApplication = SurveyApplication(survey, say, listening.getsockname()[1])
        self._server = create_server(
            self.application,
            sockets=[listening],
            threads=_THREADS,
            max_request_body_size=_BODY,
            ident=None,
            clear_untrusted_proxy_headers=True,
        )

    def run(self) -> None:
        """Answer requests until Ctrl-C."""
        self._server.run()

    def close(self) -> None:
        """Stop listening."""
        self._server.close()


def _listening(ports: Sequence[int]) -> socket.socket:
    """Return a socket that is bound to the first port that is free."""
    for port in ports:
        listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            if os.name == "posix":  # elsewhere, the option would share a port that is in use
                listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind((HOST, port))
            listening.listen()
        except OSError as error:
            listening.close()
            reason = error.strerror or str(error)
        else:
            return listening
    raise InputError(f"--port {ports[-1]}: {reason}; choose another port")
