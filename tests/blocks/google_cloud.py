"""A Google of the tests' own: a metadata server that gives pods their identity, and a Secret Manager.

The clients are Google's, unchanged: pointed here by the variables that Google has for other clouds.
"""

import datetime as dt
import json
import threading
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from google.cloud.secretmanager_v1.types import AccessSecretVersionRequest, AccessSecretVersionResponse

PROJECT = "seedtest-tests"
HOST = "secretmanager.localhost"
ACCOUNT = f"seedtest-api@{PROJECT}.iam.gserviceaccount.com"
SERVICE = "google.cloud.secretmanager.v1.SecretManagerService"
TOKEN = "ya29.a-token-of-the-metadata-server"


@dataclass
class GoogleCloud:
    """What the servers know: a payload or a refusal by the secret's name, and whether pods get tokens."""

    secrets: dict[str, bytes | grpc.StatusCode] = field(default_factory=dict)
    gives_tokens: bool = True
    environment: dict[str, str] = field(default_factory=dict)
    read: list[str] = field(default_factory=list)

    def access(
        self, request: AccessSecretVersionRequest, context: grpc.ServicerContext
    ) -> AccessSecretVersionResponse:
        """Answer as Google does: who holds no token is nobody."""
        if ("authorization", f"Bearer {TOKEN}") not in context.invocation_metadata():
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "Request had invalid authentication credentials.")
        _, project, _, secret, *_ = request.name.split("/")
        found = self.secrets.get(secret, grpc.StatusCode.NOT_FOUND)
        if project != PROJECT or isinstance(found, grpc.StatusCode):
            refusal = found if isinstance(found, grpc.StatusCode) else grpc.StatusCode.NOT_FOUND
            context.abort(refusal, f"{refusal.name} {request.name}")
        self.read.append(secret)
        return AccessSecretVersionResponse(name=request.name, payload={"data": found})


@contextmanager
def google_cloud(folder: Path) -> Iterator[GoogleCloud]:
    """Run both servers; `environment` of what is given points Google's clients at them."""
    cloud = GoogleCloud()
    key, certificate = _certificate()
    (folder / "ca.pem").write_bytes(certificate)
    methods = {
        "AccessSecretVersion": grpc.unary_unary_rpc_method_handler(
            cloud.access, AccessSecretVersionRequest.deserialize, AccessSecretVersionResponse.serialize
        )
    }
    server = grpc.server(futures.ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, methods),))
    port = server.add_secure_port("localhost:0", grpc.ssl_server_credentials([(key, certificate)]))
    server.start()
    universe = f"localhost:{port}"
    with _metadata_server(cloud, universe) as metadata:
        cloud.environment = {
            "GCE_METADATA_HOST": metadata,
            "GCE_METADATA_IP": metadata,
            "GOOGLE_CLOUD_UNIVERSE_DOMAIN": universe,
            "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": str(folder / "ca.pem"),
        }
        yield cloud
    server.stop(grace=None).wait()


def _certificate() -> tuple[bytes, bytes]:
    """Return a key and a certificate of the Secret Manager's name, both as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, HOST)])
    today, day = dt.datetime.now(dt.UTC), dt.timedelta(days=1)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(today - day)
        .not_valid_after(today + day)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    encoding = serialization.Encoding.PEM
    private = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return private, certificate.public_bytes(encoding)


@contextmanager
def _metadata_server(cloud: GoogleCloud, universe: str) -> Iterator[str]:
    """Serve what a pod with Workload Identity finds at metadata.google.internal."""
    answers = {
        "/": "",
        "/computeMetadata/v1/project/project-id": PROJECT,
        "/computeMetadata/v1/universe/universe-domain": universe,
    }
    account = {"email": ACCOUNT, "aliases": ["default"], "scopes": ["cloud-platform"]}
    token = {"access_token": TOKEN, "expires_in": 3600, "token_type": "Bearer"}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path.endswith("/token"):
                self._say(200, json.dumps(token)) if cloud.gives_tokens else self._say(403, "not bound")
            elif "/service-accounts/" in path:
                self._say(200, json.dumps(account))
            else:
                self._say(200 if path in answers else 404, answers.get(path, ""))

        def _say(self, status: int, body: str) -> None:
            self.send_response(status)
            self.send_header("Metadata-Flavor", "Google")
            self.send_header("Content-Type", "application/json" if body[:1] == "{" else "text/plain")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, format: str, *arguments: object) -> None:
            """Keep the tests' output quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()
