"""The aws command line, many commands in one process.

Starting the aws command line costs most of a second of CPU, and the tour has
hundreds of commands. This program imports the command line as it is installed
and gives it one command after the other: its own parser, serializer, signer,
retries and output, unmodified, and its exit codes. What it leaves out is only
the start of Python. A command with an option that the command line remembers
for the rest of its process runs in a fork of its own. areas/executable.sh runs
the real executable, and shows that it says the same.

lib.sh asks on descriptor 3 and hears on descriptor 4. A request is the number
of its fields and then the fields, each ended by a zero byte: the folder to work
in, and the arguments. `aws ARGUMENTS` leaves the output in the files out and
err of that folder and answers with the exit code. `query EXPRESSION` answers
with what the JMESPath expression (as --query takes it) makes of the last
output: a string as it is but for its line ends, which are sent as \\n, anything
else as JSON in one line.

Every answer of the server is also held against the model that comes with
botocore: no member that it does not know, none missing that must be there, no
null, every type, enumeration and number of seconds right, and no exception that
the operation does not have. What is wrong there stands in err, and the exit
code is BROKEN.
"""

import gc
import json
import os
import sys

import jmespath
from awscli.clidriver import create_clidriver

BROKEN = 99

# The front end of AWS answers these for any operation (rest-api.md, section
# 3.2), and models do not list them.
COMMON = {
    "AccessDeniedException": 403,
    "InvalidSignatureException": 403,
    "MissingAuthenticationTokenException": 403,
    "NotImplementedException": 501,
    "SerializationException": 400,
    "UnrecognizedClientException": 403,
}

# Members of Slipway's own in AWS's answers: TestAuthorization tells which
# statements decided.
OURS = {"decidingStatements"}

# Options that live on in the session that one process has.
REMEMBERED = {"--no-sign-request", "--profile", "--region"}


def wrong(shape, value, at):
    """Says what the model does not allow in a value, one sentence each."""
    if value is None:
        yield f"{at} is null"
        return
    kind = shape.type_name
    if kind == "structure":
        yield from wrong_structure(shape, value, at)
    elif kind == "list":
        if not isinstance(value, list):
            yield f"{at} is no list"
            return
        for i, item in enumerate(value):
            yield from wrong(shape.member, item, f"{at}[{i}]")
    elif kind == "map":
        if not isinstance(value, dict):
            yield f"{at} is no map"
            return
        for key, item in value.items():
            yield from wrong(shape.key, key, f"a key of {at}")
            yield from wrong(shape.value, item, f"{at}.{key}")
    elif not scalar(kind, value):
        yield f"{at} is {json.dumps(value)}, no {kind}"
    elif kind == "string" and shape.enum and value not in shape.enum:
        yield f"{at} is {value!r}, not one of {', '.join(shape.enum)}"


def wrong_structure(shape, value, at):
    if not isinstance(value, dict):
        yield f"{at} is no object"
        return
    known = {m.serialization.get("name", name): m for name, m in shape.members.items() if "location" not in m.serialization}
    required = {shape.members[name].serialization.get("name", name) for name in shape.required_members}
    for name in sorted(required - set(value)):
        yield f"{at}.{name} is missing"
    for name, item in value.items():
        if name in known:
            yield from wrong(known[name], item, f"{at}.{name}")
        elif name not in OURS:
            yield f"{at}.{name} is unknown to the model"


def scalar(kind, value):
    if kind in ("integer", "long"):
        return isinstance(value, int) and not isinstance(value, bool)
    if kind in ("double", "float", "timestamp"):
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if kind == "boolean":
        return isinstance(value, bool)
    return isinstance(value, str)


def wrong_answer(model, answer):
    body = json.loads(answer["body"] or "{}")
    if answer["status_code"] < 300:
        shape = model.output_shape
        if shape is None:
            if body:
                yield f"the answer has {body}, the model has none"
        elif "payload" not in shape.serialization:
            yield from wrong(shape, body, "the answer")
        return
    name = answer["headers"].get("x-amzn-ErrorType", "")
    if not body.get("message"):
        yield f"{name} comes without a message"
    for shape in model.error_shapes:
        if shape.name == name:
            status = shape.metadata.get("error", {}).get("httpStatusCode", answer["status_code"])
            if status != answer["status_code"]:
                yield f"{name} has status {answer['status_code']}, not {status}"
            yield from wrong(shape, body, name)
            return
    if COMMON.get(name) != answer["status_code"]:
        yield f"{name} with status {answer['status_code']} is no exception of the operation"


class Commands:
    """The command line, and what its last command brought."""

    def __init__(self):
        self.driver = create_clidriver()
        self.driver.session.register("before-parse.iot", self.examine)
        self.broken = []
        self.output = None

    def examine(self, operation_model, response_dict, **_):
        self.broken += [f"{operation_model.name}: {sentence}" for sentence in wrong_answer(operation_model, response_dict)]

    def run(self, arguments):
        """Runs one command with its output in the files out and err."""
        for number, name in ((1, "out"), (2, "err")):
            file = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            os.dup2(file, number)
            os.close(file)
        code = self.fork(arguments) if REMEMBERED & set(arguments) else self.call(arguments)
        with open("out") as f:
            self.output = f.read()
        return code

    def fork(self, arguments):
        child = os.fork()
        if child == 0:
            os._exit(self.call(arguments))
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    def call(self, arguments):
        self.broken = []
        try:
            code = self.driver.main(arguments)
        except SystemExit as e:
            code = e.code
        for sentence in self.broken:
            print(sentence, file=sys.stderr)
        sys.stdout.flush()
        sys.stderr.flush()
        return BROKEN if self.broken else code

    def query(self, expression):
        found = jmespath.search(expression, json.loads(self.output))
        return found if isinstance(found, str) else json.dumps(found, sort_keys=True, separators=(",", ":"))


def field(requests):
    """One field of a request, or None after the last."""
    raw = bytearray()
    while (byte := requests.read(1)) != b"\0":
        if not byte:
            return None
        raw += byte
    return raw.decode()


def main():
    commands = Commands()
    gc.freeze()
    with open(3, "rb") as requests, open(4, "w") as answers:
        while (count := field(requests)) is not None:
            folder, verb, *arguments = [field(requests) for _ in range(int(count))]
            os.chdir(folder)
            if verb == "query":
                answer = commands.query(*arguments).replace("\n", "\\n")
            else:
                answer = commands.run(arguments)
            print(answer, file=answers, flush=True)


main()
