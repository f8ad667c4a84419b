"""A mail server for tests, by aiosmtpd: STARTTLS, TLS and plain ports, signing in, recipients that are refused.

What was taken is appended to mail.jsonl in the given folder, what was asked for to asked.jsonl. Recipients named
refused... get 550, later... get 451 until a file of the name `accept` exists in the folder. While `refuse-sender` exists,
no sender is taken; while `hold-quit` exists, QUIT is not answered. The port `refusing` turns everybody away at the greeting.
"""

import asyncio
import json
import pathlib
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult

folder = pathlib.Path(sys.argv[1])


def keep(name, what):
    with open(folder / name, "a", encoding="utf-8") as file:
        file.write(json.dumps(what) + "\n")


class Handler:
    def __init__(self, port):
        self.port = port

    async def handle_MAIL(self, server, session, envelope, address, mail_options):
        if (folder / "refuse-sender").exists():
            return "550 5.7.1 this sender may not send here"
        envelope.mail_from = address
        envelope.mail_options.extend(mail_options)
        return "250 OK"

    async def handle_QUIT(self, server, session, envelope):
        while (folder / "hold-quit").exists():
            await asyncio.sleep(0.1)
        return "221 Bye"

    async def handle_RCPT(self, server, session, envelope, address, rcpt_options):
        keep("asked.jsonl", {"to": address, "port": self.port})
        if address.startswith("refused"):
            return "550 5.1.1 no such mailbox here"
        if address.startswith("later") and not (folder / "accept").exists():
            return "451 4.7.1 come back later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        keep(
            "mail.jsonl",
            {
                "from": envelope.mail_from,
                "to": envelope.rcpt_tos,
                "data": envelope.content.decode("utf-8", "replace"),
                "port": self.port,
                "tls": server.transport.get_extra_info("sslcontext") is not None,
                "user": session.auth_data,
                "helo": session.host_name,
                "peer": str(session.peer),
            },
        )
        return "250 taken"


def authenticate(server, session, envelope, mechanism, auth_data):
    user, password = auth_data.login.decode(), auth_data.password.decode()
    if (user, password) == ("quell", "a password of mail"):
        return AuthResult(success=True, auth_data=user)
    return AuthResult(success=False, handled=False)


async def turn_away(reader, writer):
    writer.write(b"554 5.3.2 no service for you\r\n")
    await writer.drain()
    await reader.read(100)
    writer.close()


async def main():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
    loop = asyncio.get_running_loop()
    signed_in = {"authenticator": authenticate, "auth_required": True}

    def starttls():
        return SMTP(Handler("starttls"), tls_context=context, require_starttls=True, **signed_in)

    def tls():
        # The connection is protected before SMTP begins, which this library does not see by itself.
        return SMTP(Handler("tls"), auth_require_tls=False, **signed_in)

    def plain():
        return SMTP(Handler("plain"))

    ports = {}
    servers = []
    for name, make, wrapped in [("starttls", starttls, None), ("tls", tls, context), ("plain", plain, None)]:
        server = await loop.create_server(make, "127.0.0.1", 0, ssl=wrapped)
        servers.append(server)
        ports[name] = server.sockets[0].getsockname()[1]
    refusing = await asyncio.start_server(turn_away, "127.0.0.1", 0)
    servers.append(refusing)
    ports["refusing"] = refusing.sockets[0].getsockname()[1]
    print(json.dumps(ports), flush=True)
    await asyncio.gather(*(server.serve_forever() for server in servers))


asyncio.run(main())
