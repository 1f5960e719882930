"""Runs a command on a pseudo-terminal: on_terminal.py PROMPT ANSWER COMMAND...

Waits for PROMPT, notes whether the terminal would echo, types ANSWER (python escapes are decoded), and prints as JSON what
was shown, whether the terminal echoed at the prompt and at the end, and the exit status.
"""
import json, os, pty, select, sys, termios, time

prompt, answer, command = sys.argv[1], sys.argv[2].encode().decode("unicode_escape"), sys.argv[3:]
pid, fd = pty.fork()
if pid == 0:
    os.execvp(command[0], command)


def echoes():
    return bool(termios.tcgetattr(fd)[3] & termios.ECHO)


shown, typed, echo_at_prompt, seen, deadline = b"", False, None, None, time.time() + 30
while time.time() < deadline:
    readable, _, _ = select.select([fd], [], [], 0.2)
    if readable:
        try:
            data = os.read(fd, 4096)
        except OSError:
            break
        if not data:
            break
        shown += data
    if seen is None and prompt.encode() in shown:
        seen = time.time()
    # Not before the program has switched the echo off, or does not mean to.
    if not typed and seen is not None and (not echoes() or time.time() > seen + 1):
        echo_at_prompt, typed = echoes(), True
        os.write(fd, answer.encode())
try:
    echo_after = echoes()
except termios.error:
    echo_after = None
_, status = os.waitpid(pid, 0)
print(json.dumps({"shown": shown.decode(), "echo": echo_at_prompt, "echoAfter": echo_after, "code": os.waitstatus_to_exitcode(status)}))
