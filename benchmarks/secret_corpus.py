"""Texts with made-up secrets, and texts without any that look alike.

Every secret is put together when it is asked for, from a prefix and seeded random characters: no
literal of this file has the shape of a key.
"""

from __future__ import annotations

import base64
import json
import random
import string
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import quote

__all__ = ["CARRIERS", "SecretCase", "look_alikes", "secret_cases"]

HEX, LOWER = "0123456789abcdef", string.ascii_lowercase + string.digits
UPPER, ALNUM = string.ascii_uppercase + string.digits, string.ascii_letters + string.digits
BASE64 = ALNUM + "+/"
Make = Callable[[random.Random], str]


@dataclass(frozen=True)
class SecretCase:
    """A text that holds one secret.

    Attributes:
        kind: of the secret.
        carrier: the notation of the text.
        text: what is redacted.
        secret: what must be gone.
    """

    kind: str
    carrier: str
    text: str
    secret: str


def _key(prefix: str, length: int, alphabet: str = ALNUM, suffix: str = "") -> Make:
    return lambda rng: prefix + "".join(rng.choices(alphabet, k=length)) + suffix


def _joined(*parts: Make, by: str = "") -> Make:
    return lambda rng: by.join(part(rng) for part in parts)


def _password(rng: random.Random) -> str:
    return "".join(rng.choices(ALNUM + "!#+.-_", k=12)) + "7q"


def _jwt(rng: random.Random) -> str:
    head = base64.urlsafe_b64encode(b'{"alg":"HS256","typ":"JWT"}').rstrip(b"=").decode()
    body = json.dumps({"sub": rng.randrange(10**9), "iat": 1_700_000_000}).encode()
    middle = base64.urlsafe_b64encode(body).rstrip(b"=").decode()
    return f"{head}.{middle}.{_key('', 43, ALNUM + '-_')(rng)}"


def _pem(name: str) -> Make:
    def make(rng: random.Random) -> str:
        body = "\n".join(_key("", 64, BASE64)(rng) for _ in range(3))
        return f"-----BEGIN {name}-----\n{body}\n-----END {name}-----"

    return make


def _discord(rng: random.Random) -> str:
    user = base64.b64encode(str(rng.randrange(10**17, 10**18)).encode()).decode().rstrip("=")
    return f"{user}.{_key('', 6)(rng)}.{_key('', 38)(rng)}"


SHAPED: dict[str, Make] = {
    "OpenAI project": _key("sk-" + "proj-", 48),
    "OpenAI classic": _key("sk-", 48),
    "OpenAI service account": _key("sk-" + "svcacct-", 60),
    "Anthropic": _key("sk-" + "ant-api03-", 93, ALNUM + "-_", "AA"),
    "OpenRouter": _key("sk-" + "or-v1-", 64, HEX),
    "Langfuse secret": lambda rng: "sk-" + "lf-" + str(uuid.UUID(int=rng.getrandbits(128))),
    "DeepSeek": _key("sk-", 32, HEX),
    "Google API": _key("AI" + "za", 35, ALNUM + "-_"),
    "Google OAuth access": _key("ya" + "29.", 60, ALNUM + "-_"),
    "Google OAuth client secret": _key("GOC" + "SPX-", 28, ALNUM + "-_"),
    "AWS access key id": _key("AK" + "IA", 16, string.ascii_uppercase + "234567"),
    "AWS temporary key id": _key("AS" + "IA", 16, string.ascii_uppercase + "234567"),
    "GitHub personal": _key("gh" + "p_", 36),
    "GitHub OAuth": _key("gh" + "o_", 36),
    "GitHub app": _key("gh" + "s_", 36),
    "GitHub fine-grained": _key("github" + "_pat_", 82),
    "GitLab personal": _key("gl" + "pat-", 20),
    "GitLab runner": _key("gl" + "rt-", 20),
    "GitLab deploy": _key("gl" + "dt-", 20),
    "Slack bot": _joined(_key("xo" + "xb-", 12, string.digits), _key("-", 12, string.digits),
                         _key("-", 24)),
    "Slack app": _joined(_key("xa" + "pp-1-A", 10, UPPER), _key("-", 12, string.digits),
                         _key("-", 60, HEX)),
    "Hugging Face": _key("h" + "f_", 34, string.ascii_letters),
    "PyPI": _key("py" + "pi-AgEIcHlwaS5vcmc", 80, ALNUM + "-_"),
    "npm": _key("np" + "m_", 36),
    "Stripe live": _key("sk" + "_live_", 24),
    "Stripe restricted": _key("rk" + "_live_", 24),
    "Stripe webhook": _key("wh" + "sec_", 32),
    "LangSmith": _joined(_key("ls" + "v2_pt_", 32, HEX), _key("_", 10, HEX)),
    "JWT": _jwt,
    "Tavily": _key("tv" + "ly-", 32),
    "Groq": _key("gs" + "k_", 52),
    "xAI": _key("x" + "ai-", 80),
    "Pinecone": _joined(_key("pc" + "sk_", 6), _key("_", 50)),
    "Databricks": _key("da" + "pi", 32, HEX),
    "Perplexity": _key("pp" + "lx-", 48),
    "Replicate": _key("r" + "8_", 37),
    "Fireworks": _key("f" + "w_", 24),
    "NVIDIA": _key("nv" + "api-", 64, ALNUM + "-_"),
    "Jina": _key("ji" + "na_", 60),
    "E2B": _key("e" + "2b_", 40, HEX),
    "Firecrawl": _key("f" + "c-", 32, HEX),
    "Figma": _key("fi" + "gd_", 40),
    "Notion": _joined(_key("nt" + "n_", 11, string.digits), _key("", 35)),
    "Linear": _key("lin" + "_api_", 40),
    "Supabase": _key("sb" + "p_", 40, HEX),
    "Docker Hub": _key("dckr" + "_pat_", 27, ALNUM + "-_"),
    "Atlassian": _key("AT" + "ATT3xFf", 180, ALNUM + "-_="),
    "PostHog personal": _key("ph" + "x_", 43),
    "Logfire": _key("py" + "lf_v1_eu_", 43),
    "Apify": _key("apify" + "_api_", 36),
    "ElevenLabs": _key("s" + "k_", 48, HEX),
    "New Relic": _key("NR" + "AK-", 27, UPPER),
    "SendGrid": _joined(_key("S" + "G.", 22), _key(".", 43)),
    "Shopify": _key("sh" + "pat_", 32, HEX),
    "DigitalOcean": _key("dop" + "_v1_", 64, HEX),
    "Doppler": _key("dp" + ".pt.", 43),
    "Vault service": _key("hv" + "s.", 95, ALNUM + "-_"),
    "Grafana service account": _joined(_key("gl" + "sa_", 32), _key("_", 8, HEX)),
    "Postman": _joined(_key("PM" + "AK-", 24, HEX), _key("-", 34, HEX)),
    "Mailgun": _key("ke" + "y-", 32, HEX),
    "Mailchimp": _key("", 32, HEX, "-us" + "12"),
    "Twilio": _key("S" + "K", 32, HEX),
    "Telegram bot": _joined(_key("", 10, "123456789"), _key(":A" + "A", 33, ALNUM + "-_")),
    "Discord bot": _discord,
    "Sentry user": _key("sn" + "tryu_", 64, HEX),
    "Pulumi": _key("pu" + "l-", 40, HEX),
    "RubyGems": _key("rub" + "ygems_", 48, HEX),
    "Planetscale": _key("pscale" + "_tkn_", 43),
    "Prefect": _key("pn" + "u_", 36),
    "HubSpot": lambda rng: "pa" + "t-eu1-" + str(uuid.UUID(int=rng.getrandbits(128))),
    "RSA private key": _pem("RSA PRIVATE" + " KEY"),
    "OpenSSH private key": _pem("OPENSSH PRIVATE" + " KEY"),
}  # fmt: skip
"""Secrets that are known by their own shape, by kind."""

NAMED: dict[str, tuple[tuple[str, ...], Make]] = {
    "password": (("password", "passwd", "pwd", "db_password", "dbPassword"), _password),
    "API key of hex": (("api_key", "apikey", "X-Api-Key", "openai_api_key"), _key("", 32, HEX)),
    "AWS secret key": (("aws_secret_access_key", "secretAccessKey"), _key("", 40, BASE64)),
    "OAuth token": (("access_token", "refresh_token", "Token", "auth_token"), _key("", 40)),
    "client secret": (("client_secret", "clientSecret", "app_secret"), _key("", 36, ALNUM + "-_")),
    "account key": (("account_key", "AccountKey"), _key("", 86, BASE64, "==")),
    "session token": (("X-Amz-Security-Token", "session_token"), _key("", 120, BASE64)),
    "passphrase": (("passphrase", "key_passphrase"), _password),
    "subscription key": (("Ocp-Apim-Subscription-Key", "subscription_key"), _key("", 32, HEX)),
    "signing key": (("signing_key", "encryption_key", "private_key"), _key("", 64, HEX)),
}
"""Secrets that only the name beside them gives away: the names, and how the value is made."""


def _escaped(name: str, secret: str) -> str:
    return json.dumps({"body": json.dumps({"user": "u", name: secret})})


CARRIERS: dict[str, Callable[[str, str], str]] = {
    "JSON": lambda n, s: json.dumps({"user": "app", n: s, "limit": 10}),
    "JSON in JSON": _escaped,
    "Python dict": lambda n, s: f"config = {{'host': 'db', {n!r}: {s!r}}}",
    "Python call": lambda n, s: f'client = Client(host="db", {n.replace("-", "_")}="{s}")',
    "YAML": lambda n, s: f"db:\n  user: app\n  {n}: {s}\n  port: 5432\n",
    "INI": lambda n, s: f"[main]\nhost = db\n{n} = {s}\n",
    "environment dump": lambda n, s: (
        f"HOME=/root\n{n.upper().replace('-', '_')}={s}\nPATH=/usr/bin\n"
    ),
    "shell export": lambda n, s: f"$ export {n.replace('-', '_')}={s} && make deploy",
    "command option": lambda n, s: f"$ db-cli --{n.replace('_', '-').lower()}={s} -h db.local",
    "query parameter": lambda n, s: (
        f"GET https://api.example.org/v1/items?q=cats&{n}={quote(s, safe='+/=')}&page=2"
    ),
    "header": lambda n, s: f"> Accept: */*\n> {n}: {s}\n> Host: api.example.org\n",
    "connection string": lambda n, s: f"Server=db.local;User Id=app;{n}={s};Encrypt=true",
    "traceback": lambda n, s: (
        'Traceback (most recent call last):\n  File "/app/run.py", line 7, in <module>\n'
        f'    connect("db", {n.replace("-", "_")}="{s}")\nConnectionError: refused'
    ),
    "XML": lambda n, s: f"<db><user>app</user><{n}>{s}</{n}></db>",
}
"""Notations that put a name before a value."""

BARE_CARRIERS: dict[str, Callable[[str], str]] = {
    "prose": lambda s: f"Use {s}, please, and tell nobody.",
    "tool result": lambda s: json.dumps({"status": 200, "rows": ["ok", s]}),
    "log line": lambda s: f"2026-11-30 12:00:01 INFO client started ({s}) in 3 ms",
    "markdown": lambda s: f"Run it with\n\n```\nlogin {s}\n```\n",
    "bearer header": lambda s: f"curl -H 'Authorization: Bearer {s}' https://example.org",
    "query": lambda s: f"https://example.org/cb?x={s}&y=2",
}
"""Texts that hold a secret without its name; for those with a shape of their own."""


def secret_cases(seed: int = 0) -> Iterator[SecretCase]:
    """Each kind in each notation that can hold it."""
    rng = random.Random(seed)
    for kind, make in SHAPED.items():
        lines = "private key" in kind
        for carrier, write in BARE_CARRIERS.items():
            if lines and carrier in ("bearer header", "query", "log line"):
                continue
            secret = make(rng)
            shown = json.dumps(secret)[1:-1] if carrier == "tool result" else secret
            yield SecretCase(kind, carrier, write(secret), shown)
    for kind, (names, make) in NAMED.items():
        for number, (carrier, write_named) in enumerate(CARRIERS.items()):
            secret = make(rng)
            text = write_named(names[number % len(names)], secret)
            shown = quote(secret, safe="+/=") if carrier == "query parameter" else secret
            yield SecretCase(kind, carrier, text, shown)
    yield from _others(rng)


def _others(rng: random.Random) -> Iterator[SecretCase]:
    """Notations that hold one kind of secret only."""
    for _ in range(3):
        word = _password(rng)
        basic = base64.b64encode(f"app:{word}".encode()).decode()
        plain = _key("", 20)(rng)
        signature = _key("", 64, HEX)(rng)
        signed = f"https://s.example.org/k?X-Amz-Date=20261130&X-Amz-Signature={signature}"
        hook = f"{_key('T', 9, UPPER)(rng)}/{_key('B', 9, UPPER)(rng)}/{_key('', 24)(rng)}"
        yield SecretCase("Basic credentials", "header", f"Authorization: Basic {basic}", basic)
        token = _key("", 40, HEX)(rng)
        yield SecretCase("token", "header", f"Authorization: Token {token}", token)
        yield SecretCase("session", "header", f"Cookie: theme=dark; sessionid={token}", token)
        yield SecretCase("URL password", "url", f"postgres://app:{plain}@db.local/x", plain)
        yield SecretCase("signature", "query parameter", signed, signature)
        yield SecretCase("Slack webhook", "url", f"https://hooks.slack.com/services/{hook}", hook)
        yield SecretCase("curl user", "command option", f"curl -u app:{plain} https://x.org", plain)
        code = f"requests.get(url, auth=('app', '{plain}'))"
        yield SecretCase("basic auth", "Python call", code, plain)
        netrc = f"machine api.example.org login app password {plain}"
        yield SecretCase("netrc", "file", netrc, plain)
        kube = f"env:\n  - name: DB_PASSWORD\n    value: {plain}\n"
        yield SecretCase("password", "Kubernetes", kube, plain)
        yield SecretCase("password", "SQL", f"CREATE USER a IDENTIFIED BY '{plain}';", plain)
        npmrc = f"//registry.example.org/:_authToken={plain}"
        yield SecretCase("npm token", "file", npmrc, plain)


_PLAIN = """
The password must have at least 8 characters.
Enter your password: it is never stored.
A password reset link was sent to the address on file.
password: required
password: string (8-64 characters)
"password": {"type": "string", "minLength": 8}
def login(user: str, password: str) -> bool:
login(user=user, password=password)
api_key = os.environ["OPENAI_API_KEY"]
api_key=os.getenv("TAVILY_API_KEY", "")
client = OpenAI(api_key=settings.api_key)
client = OpenAI(api_key=API_KEY)
export API_KEY=$MY_API_KEY
token=${GITHUB_TOKEN}
password=<your password>
api_key: "your-api-key"
"api_key": "YOUR_API_KEY"
password: "********"
secret: !vault |
token = tokenizer.encode(text)
tokens = tokenizer(text, return_tensors="pt")
max_tokens=512, temperature=0.7
"max_tokens": 4096, "total_tokens": 15321
token_count: 512
A token is the smallest unit: about 4 characters.
token: the smallest unit of text
eos_token: </s>, pad_token: <pad>
"eos_token": "<|endoftext|>"
"next_page_token": "CAUQAA1234567890"
sorted(items, key=lambda item: item[1])
sort_key=created_at
primary_key=True, foreign_key="user.id"
PRIMARY KEY (id), FOREIGN KEY (token_id)
key: C major, tempo: 120
The key: practise every day for 30 minutes.
key = value
{"key": "value", "monkey": "business"}
keyboard: qwertz-105, monkey: bananas99
dict keys: name1, name2, name3
Authorization: see chapter 12 of the handbook
The bearer of bad news, and basic arithmetic.
Bearer bonds rose by 3 percent.
author: Smith, J. (2019)
authority: Federal Court 12
auth: oauth2
authenticated: true
signature: def solve(a: int, b: int) -> int
The signature: illegible.
pass: 12, fail: 3
passed=15 failed=2
passenger: 12A, compass: N42E7
bypass=True
The secret to success is practice: 10000 hours.
secret santa: Monday 12 December
secretary: Mary Major 2
cookie recipe: 200 g flour, 100 g sugar
cookies: enabled
credentials: see the wiki
credential_file=/etc/app/credentials.json
--token-limit 4096 --password-file /run/secrets/db
--key-size 2048
ssh-keygen -t ed25519 -C "ci"
public_key_url: https://example.org/keys/2024.pem
passwordless login: enabled since 2019
gpt-4o-mini-2024-07-18
claude-3-5-sonnet-20241022
claude-opus-4-1-20250805
meta-llama/Llama-3.1-8B-Instruct
mistralai/Mixtral-8x22B-Instruct-v0.1
text-embedding-3-large
gemini-2.5-pro-preview-05-06
Qwen2.5-Coder-32B-Instruct-GPTQ-Int4
sk-learn-compatible estimators, risk-averse task-lists
scikit-learn==1.5.2 numpy==2.1.3
sk-toggleable__label-arrow
ask-the-experts-2024-session-notes
https://example.org/a/b/c?page=2&sort=name&limit=100
https://example.org/a:b?c=d@e
https://user@example.org/path
http://localhost:8080/health
mailto:someone@example.org?subject=Hello
git@github.com:org/repo.git
s3://bucket/path/to/object-2024-11-30.parquet
/usr/lib/python3.11/site-packages/pydantic/main.py
C:\\Users\\app\\AppData\\Local\\Temp\\file.txt
src/agentracer/attribution/embedded/features.py:142
arXiv:2505.00212v2, doi:10.1145/3292500.3330701
ISBN 978-3-16-148410-0, EAN 4006381333931
IBAN of a made-up bank: XX00 0000 0000 0000
+49 30 901820, (555) 010-0199
192.168.100.254, 2001:db8:85a3::8a2e:370:7334
00:1A:2B:3C:4D:5E
52.5200 N, 13.4050 E
$1,299.00, 0.04 * 484 = 19.36, 15 %
1234567890123456789
3.14159265358979323846
2026-11-30T12:00:01.123456Z
#ff8800, rgb(255, 136, 0)
rnbqkbnr/pppppppp/8/8/8/8/PPPPPPPP/RNBQKBNR w KQkq - 0 1
ATGGCGTACGATCGATCGATCGATCGATCGATCGGCTA
Donaudampfschifffahrtsgesellschaftskapitaen
pneumonoultramicroscopicsilicovolcanoconiosis
internationalization_of_configuration_settings
test_a_secret_across_a_cut_does_not_leak_its_half
AbstractSingletonProxyFactoryBean
SELECT token_id, key FROM tokens WHERE id = 42
ALTER TABLE users ADD COLUMN password_hash TEXT
CREATE INDEX ix_user_key ON users (key)
grep -rn "api_key" src | wc -l
if token is None: raise ValueError("token missing")
raise AuthError("invalid password")
assert response.headers["Authorization"]
headers = {"Authorization": f"Bearer {token}"}
headers = {"x-api-key": api_key}
Authorization: Bearer $TOKEN
Authorization: Bearer <token>
curl -H "Authorization: Bearer $OPENAI_API_KEY" https://api.example.org
x-request-id: req_011CSHoEeqs5C35K2UUqR7Fy
"id": "chatcmpl-AbCdEfGhIjKlMnOpQrStUvWxYz012"
"tool_call_id": "call_9aX2bC4dE6fG8hI0jK1lM3nO"
"id": "toolu_01A09q90qw90lq917835lq9"
"id": "msg_01XFDUDYJgAACzvnptvVoYEL"
"response_id": "resp_67ccd2bed1ec8190b14f964abc054267"
"thread_id": "thread_abc123DEF456ghi789"
"system_fingerprint": "fp_44709d6fcb"
"finish_reason": "tool_calls", "logprobs": null
etag: W/"0815-1a2b3c4d5e6f"
Docker image app:1.2.3-alpine3.20
cron: 0 3 * * 1-5
v1.2.3-rc.4+build.5678
Key insight: the answer is 42.
Key findings: 3 of 12 models failed.
Keywords: agents, failure, attribution
Passing score: 70 of 100
Passphrases are longer than passwords.
Authentication: none
Session: Tuesday 14:00
session_id: 20261130T120001-abcdef
The API key is missing; set it first.
No API key provided.
Incorrect API key provided.
tokenizer.json, special_tokens_map.json
tokenization_qwen2_fast.py
"access_token": null
"password": ""
"secret": false
token: None
"token_type": "bearer", "expires_in": 3600
private_key_path = ~/.ssh/id_ed25519
key_id: alias/aws/s3
secret_name: prod/db/main
secretKeyRef: {name: db, key: password}
password_policy: strong-2024
api_key_env: OPENAI_API_KEY
API_KEY_NAME=primary
TOKEN_LIMIT=8192
KEY_COUNT=12
SECRET_FILE=/run/secrets/db
""".strip().splitlines()


def look_alikes(seed: int = 0) -> Iterator[tuple[str, str]]:
    """Texts without secrets: what each is, and the text."""
    rng = random.Random(seed)
    for number, line in enumerate(_PLAIN):
        yield f"text {number}", line
    for _ in range(20):
        commit, digest = _key("", 40, HEX)(rng), _key("", 64, HEX)(rng)
        name = str(uuid.UUID(int=rng.getrandbits(128), version=4))
        image = base64.b64encode(rng.randbytes(900)).decode()
        yield "commit id", f"commit {commit}\nAuthor: A U Thor"
        yield "commit id", f"Merge {commit[:12]} into {commit[12:22]}"
        yield "UUID", json.dumps({"run_id": name, "status": "done"})
        yield "UUID", f"Session {name} was closed."
        yield "digest", f"sha256:{digest}  model.safetensors"
        yield "digest", json.dumps({"etag": digest[:32], "size": 1024})
        yield "base64 image", f"data:image/png;base64,{image}"
        yield "base64 image", json.dumps({"b64_json": image})
        yield "trace id", f"00-{digest[:32]}-{digest[32:48]}-01"
        yield "price", f"Total: {rng.randrange(10, 9999)}.{rng.randrange(10, 99)} EUR, VAT 19 %"
        yield "call id", json.dumps({"id": f"call_{_key('', 24)(rng)}", "name": "lookup"})
