#!/usr/bin/python3
"""Stands for S3, STS, SSM, Secrets Manager and the instance metadata service, and believes no request that botocore would
have signed otherwise: the signature is computed anew by Debian's python3-botocore from what arrived.

The first line of standard input is the world, as JSON; each further line replaces it and is answered by "ok". The first
line of standard output is the port; each further one is a request: {"service", "operation", "key", "resource", ...}.

world = {
  "keys":       {access key id: {"secret", "token", "account", "allow": [resource, ...] or absent for all}},
  "objects":    {"bucket/key": {"body", "owner"}},
  "parameters": {arn: text},
  "secrets":    {arn or name: text},
  "instance":   {"region", "key": access key id},   the metadata service, if any
  "faults":     {service: {"status", "code"} or {"delay": seconds}}
}
"""
import hashlib
import json
import sys
import threading
import time
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

world = json.loads(sys.stdin.readline())
output = threading.Lock()


def tell(line):
    with output:
        print(json.dumps(line), flush=True)


class Refused(Exception):
    def __init__(self, status, code, message=""):
        super().__init__(code)
        self.status, self.code, self.message = status, code, message


def verify(method, path, headers, body):
    """Returns the access key id, its entry, the region and the service; raises Refused."""
    given = headers.get("authorization", "")
    if not given.startswith("AWS4-HMAC-SHA256 "):
        raise Refused(403, "MissingAuthenticationToken")
    parts = dict(p.strip().split("=", 1) for p in given[len("AWS4-HMAC-SHA256 "):].split(","))
    key_id, date, region, service, ending = parts["Credential"].split("/")
    entry = world["keys"].get(key_id)
    if entry is None:
        raise Refused(403, "InvalidAccessKeyId" if service == "s3" else "UnrecognizedClientException", "The security token included in the request is invalid.")
    stamp = headers.get("x-amz-date", "")
    moment = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ")
    if ending != "aws4_request" or stamp[:8] != date or abs(datetime.utcnow() - moment) > timedelta(minutes=5):
        raise Refused(403, "RequestTimeTooSkewed")
    if headers.get("x-amz-security-token") != entry["token"]:
        raise Refused(403, "InvalidToken" if service == "s3" else "InvalidClientTokenId")
    signed = parts["SignedHeaders"].split(";")
    unsigned = [n for n in headers if (n.startswith("x-amz-") or n in ("host", "content-type")) and n not in signed]
    # A body that is not signed, an owner that is not signed, could be another's.
    if unsigned or headers.get("x-amz-content-sha256", "") not in ("", hashlib.sha256(body).hexdigest()):
        raise Refused(403, "SignatureDoesNotMatch", f"not signed: {unsigned}")
    request = AWSRequest(method=method, url=f"http://{headers['host']}{path}", data=body, headers={n: headers[n] for n in signed})
    request.context["timestamp"] = stamp
    signer = (S3SigV4Auth if service == "s3" else SigV4Auth)(Credentials(key_id, entry["secret"], entry["token"]), service, region)
    canonical = signer.canonical_request(request)
    if signer.signature(signer.string_to_sign(request, canonical), request) != parts["Signature"]:
        # As the real one: the text tells how it should have been signed, the session token within.
        raise Refused(403, "SignatureDoesNotMatch" if service == "s3" else "InvalidSignatureException", f"The request signature we calculated does not match the signature you provided.\n\nThe Canonical String for this request should have been\n'{canonical}'")
    return key_id, entry, region, service


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body=b"", kind="application/x-amz-json-1.1", more={}):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        for name, value in more.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def handle_one(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = urlsplit(self.path).path
        if path.startswith("/latest/"):
            return self.metadata(path)
        headers = {n.lower(): v for n, v in self.headers.items()}
        note = {"service": "?", "operation": "?"}
        service = "?"
        try:
            key_id, entry, region, service = verify(self.command, self.path, headers, body)
            note.update(service=service, key=key_id, region=region)
            fault = world.get("faults", {}).get(service, {})
            time.sleep(fault.get("delay", 0))
            if "status" in fault:
                raise Refused(fault["status"], fault["code"], "as the test wanted")
            answer = getattr(self, service)(entry, path, headers, body, note)
        except Refused as e:
            note["refused"] = e.code
            answer = self.refusal(headers, e)
        except Exception as e:
            note["refused"] = repr(e)
            answer = self.refusal(headers, Refused(400, "BadTest", repr(e)))
        # Whoever has the answer finds the request told of.
        tell(note)
        try:
            self.answer(*answer)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    do_GET = do_HEAD = do_POST = do_PUT = handle_one

    def refusal(self, headers, e):
        if "x-amz-target" in headers:
            text = json.dumps({"__type": e.code, "message": e.message}).encode()
            return 400 if e.status == 403 else e.status, text
        xml = f"<Error><Code>{e.code}</Code><Message>{e.message.split(chr(10))[0]}</Message></Error>"
        if headers.get("content-type", "").startswith("application/x-www-form"):
            xml = f"<ErrorResponse><Error><Type>Sender</Type><Code>{e.code}</Code><Message>{e.message}</Message></Error></ErrorResponse>"
        return e.status, xml.encode(), "application/xml"

    @staticmethod
    def allow(entry, resource):
        if "allow" in entry and resource not in entry["allow"]:
            raise Refused(403, "AccessDeniedException", f"User is not authorized to perform this on resource: {resource}")

    def s3(self, entry, path, headers, body, note):
        name = unquote(path)[1:]
        owner = headers.get("x-amz-expected-bucket-owner")
        note.update(operation=self.command, resource=name, owner=owner)
        found = world["objects"].get(name)
        if found is None:
            raise Refused(404, "NoSuchKey", "The specified key does not exist.")
        self.allow(entry, name)
        if owner is not None and owner != found["owner"]:
            raise Refused(403, "AccessDenied", "Access Denied")
        if self.command == "GET" and owner is None:
            raise Refused(400, "InvalidRequest", "no owner is expected")
        data = found["body"].encode()
        etag = f'"{hashlib.md5(data).hexdigest()}"'
        if headers.get("if-match", etag) != etag:
            raise Refused(412, "PreconditionFailed")
        return 200, data, "application/json", {"ETag": etag}

    def sts(self, entry, path, headers, body, note):
        note.update(operation=parse_qs(body.decode())["Action"][0])
        inner = f"<Arn>arn:aws:sts::{entry['account']}:assumed-role/task/x</Arn><UserId>AROA:x</UserId><Account>{entry['account']}</Account>"
        xml = f'<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>{inner}</GetCallerIdentityResult></GetCallerIdentityResponse>'
        return 200, xml.encode(), "text/xml"

    def ssm(self, entry, path, headers, body, note):
        name = json.loads(body)["Name"]
        note.update(operation=headers["x-amz-target"].split(".")[-1], resource=name)
        if name not in world["parameters"]:
            raise Refused(400, "ParameterNotFound")
        self.allow(entry, name)
        return 200, json.dumps({"Parameter": {"Name": name, "Type": "String", "Value": world["parameters"][name]}}).encode()

    def secretsmanager(self, entry, path, headers, body, note):
        name = json.loads(body)["SecretId"]
        note.update(operation=headers["x-amz-target"].split(".")[-1], resource=name)
        self.allow(entry, name)
        if name not in world["secrets"]:
            raise Refused(400, "ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
        return 200, json.dumps({"Name": name, "SecretString": world["secrets"][name]}).encode()

    def metadata(self, path):
        instance = world.get("instance")
        role = "/latest/meta-data/iam/security-credentials/"
        token = "metadata-token"
        if instance is None:
            return self.answer(404)
        if self.command == "PUT" and path == "/latest/api/token":
            return self.answer(200, token.encode(), "text/plain", {"X-Aws-Ec2-Metadata-Token-Ttl-Seconds": "60"})
        if self.headers.get("x-aws-ec2-metadata-token") != token:
            return self.answer(401)
        if path == "/latest/meta-data/placement/region":
            return self.answer(200, instance["region"].encode(), "text/plain")
        if path == role:
            return self.answer(200, b"reader-role", "text/plain")
        if path == role + "reader-role":
            entry = world["keys"][instance["key"]]
            end = (datetime.utcnow() + timedelta(hours=6)).strftime("%Y-%m-%dT%H:%M:%SZ")
            text = {"Code": "Success", "Type": "AWS-HMAC", "AccessKeyId": instance["key"], "SecretAccessKey": entry["secret"], "Token": entry["token"], "LastUpdated": end, "Expiration": end}
            return self.answer(200, json.dumps(text).encode())
        return self.answer(404)


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """A client that hangs up is no news."""


server = Server(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
tell(server.server_port)
for line in sys.stdin:
    world = json.loads(line)
    tell("ok")
