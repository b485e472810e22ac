"""A Slurm cluster of five virtual nodes on this machine, for the duration of the tests.

The daemons are the distribution's own: munged, slurmctld and a slurmd for each node; for accounting
also MariaDB and slurmdbd. All of them are children of the tests, on free ports of the loopback
interface. Nothing outside of one folder is written.
"""

import os
import pwd
import shlex
import shutil
import socket
import subprocess
from pathlib import Path
from typing import NamedTuple

import psutil
from workflow import wait_until

SBIN = os.environ["PATH"] + ":/usr/local/sbin:/usr/sbin:/sbin"
MISSING = [
    program
    for program in (
        *("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "setpriv"),
        *("slurmdbd", "sacct", "mariadbd", "mariadb-install-db"),
    )
    if not shutil.which(program, path=SBIN)
]
ACCOUNT = "project"
NODES = {"node1": 1, "node2": 1, "node3": 1, "node4": 1, "large": 16}  # with their CPUs

# MinJobAge: the tests query jobs that ended long ago. OverMemoryKill: instead of cgroups,
# which not every container has. SlurmdTimeout: when a silent node counts as down.
# EnforcePartLimits: reject a job that its partition can never run, instead of waiting forever.
CONFIGURATION = """\
ClusterName=tests
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={controller_port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
Epilog={folder}/epilog
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobAcctGatherParams=OverMemoryKill
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0,sched_interval=2
SlurmdParameters=config_overrides
MailProg=/bin/true
MinJobAge=86400
KillWait=2
EnforcePartLimits=ALL
SlurmdTimeout=10
ReturnToService=2
PartitionName=main Nodes=node[1-4] Default=YES DefaultTime=10 MaxTime=120 State=UP
PartitionName=short Nodes=node[1-4] DefaultTime=10 MaxTime=60 State=UP
PartitionName=large Nodes=large DefaultTime=10 MaxTime=120 State=UP
"""
# Enforced associations: a job needs an account that its user belongs to.
ACCOUNTING = """\
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={database_port}
AccountingStoragePass=socket={folder}/munge.socket
AccountingStorageEnforce=associations
AccountingStoreFlags=job_comment
"""
# StorageUser: MariaDB identifies the system's user by the socket, without a password.
# AllowNoDefAcct: for a user who must specify an account.
ACCOUNTING_DAEMON = """\
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort={database_port}
CommunicationParameters=NoInAddrAny
AllowNoDefAcct=yes
SlurmUser={user}
PidFile={folder}/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser={user}
"""
NODE = "NodeName={} NodeHostname=localhost NodeAddr=127.0.0.1 Port={} CPUs={} RealMemory=4000"
FIELDS = {"id": "%i", "state": "%T", "node": "%N", "cpus": "%C", "memory": "%m", "limit": "%l"}


class Submission(NamedTuple):
    """Slurm's record of a job."""

    id: str
    state: str
    node: str
    cpus: str
    memory: str  # with a unit
    limit: str  # of time, as minutes:seconds or longer
    comment: str  # the plugin's words for what it is


class Cluster:
    """A running cluster, with its files in one folder, until `stop`."""

    def __init__(self, folder, accounting):
        self.folder = folder
        self.accounting = accounting
        self.user = pwd.getpwuid(os.getuid()).pw_name
        self.environment = {
            **os.environ,
            "PATH": f"{folder}:{SBIN}",
            "SLURM_CONF": f"{folder}/slurm.conf",
            "MYSQL_UNIX_PORT": f"{folder}/mariadb.socket",  # that slurmdbd has no option for
        }
        self.daemons = {}
        database_port, controller_port, *node_ports = free_ports(2 + len(NODES))
        values = {
            "folder": folder,
            "user": self.user,
            "controller_port": controller_port,
            "database_port": database_port,
        }
        settings = CONFIGURATION + (ACCOUNTING if accounting else "")
        nodes = "\n".join(map(NODE.format, NODES, node_ports, NODES.values()))
        (folder / "state").mkdir()
        (folder / "munge.key").write_bytes(os.urandom(128))
        (folder / "munge.key").chmod(0o400)
        (folder / "slurm.conf").write_text(settings.format(**values) + nodes)
        (folder / "slurmdbd.conf").write_text(ACCOUNTING_DAEMON.format(**values))
        (folder / "slurmdbd.conf").chmod(0o600)
        self.after_each_job("")
        # The plugin takes SLURM_CONF out of the environment that it starts srun in: on a site,
        # the file lies where Slurm looks for it unasked.
        write_script(
            folder / "srun",
            f'SLURM_CONF={folder}/slurm.conf exec {shutil.which("srun", path=SBIN)} "$@"',
        )

    def start(self):
        self.start_daemon(
            "munged",
            *("munged", "--foreground", "--force"),
            *(
                f"--{option}={self.folder}/munge.{suffix}"
                for option, suffix in (
                    ("key-file", "key"),
                    ("socket", "socket"),
                    ("pid-file", "pid"),
                    ("seed-file", "seed"),
                    ("log-file", "log"),
                )
            ),
        )
        wait_until((self.folder / "munge.socket").exists, "munged answers")
        if self.accounting:
            self.start_accounting()
        self.start_daemon("slurmctld", "slurmctld", "-D")
        for node in NODES:
            self.start_node(node)
        wait_until(lambda: self.idle_nodes() == set(NODES), "all nodes are idle")

    def start_accounting(self):
        """Start MariaDB and slurmdbd, and give the user an account, but not as the default."""
        # The data are temporary, and 4 MB of log are enough, instead of 96.
        options = (
            *("--no-defaults", f"--user={self.user}", f"--datadir={self.folder}/mariadb"),
            *("--innodb-flush-method=nosync", "--innodb-log-file-size=4M"),
        )
        self.command(shlex.join(("mariadb-install-db", "--skip-test-db", *options)))
        self.start_daemon(
            "mariadbd",
            *("mariadbd", *options, "--skip-networking"),
            *(f"--socket={self.folder}/mariadb.socket", f"--pid-file={self.folder}/mariadbd.pid"),
        )
        wait_until((self.folder / "mariadb.socket").exists, "MariaDB answers")
        self.start_daemon("slurmdbd", "slurmdbd", "-D")
        wait_until(self.has_accounting, "slurmdbd answers")
        # Slurm itself gives root the account of that name.
        for change in (
            "add cluster tests",
            f"add account {ACCOUNT}",
            f"add user {self.user} account={ACCOUNT}",
            f"modify user {self.user} set defaultaccount=",
            "delete user root account=root",
        ):
            self.command(f"sacctmgr --immediate {change}")

    def has_accounting(self):
        try:
            self.command("sacctmgr --noheader list cluster")
        except subprocess.CalledProcessError:
            return False  # slurmdbd has not come up yet
        return True

    def start_node(self, node):
        (self.folder / node).mkdir(exist_ok=True)
        self.start_daemon(node, "slurmd", "-D", "-N", node)

    def start_daemon(self, name, *command):
        # If the tests are killed, kill the daemon, too.
        with (self.folder / f"{name}.output").open("ab") as output:
            self.daemons[name] = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *command],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def stop(self):
        """End all jobs and then the daemons, in whatever state they are."""
        try:
            self.cancel_all()
        except (subprocess.SubprocessError, TimeoutError):
            pass  # slurmctld is not there
        for name in reversed(self.daemons):
            daemon = self.daemons[name]
            daemon.terminate()
            try:
                daemon.wait(10)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        for process in list(self.processes()):
            process.kill()

    def command(self, line):
        """Run a command of Slurm; return its output."""
        return subprocess.run(
            shlex.split(line),
            env=self.environment,
            check=True,
            capture_output=True,
            text=True,
            timeout=30,
        ).stdout

    def idle_nodes(self):
        try:
            return set(self.command("sinfo --noheader --Node --states=idle --format=%N").split())
        except subprocess.CalledProcessError:
            return set()  # slurmctld has not come up yet

    def submissions(self):
        """All jobs that were submitted to this cluster, in order."""
        lines = self.command(
            f"squeue --noheader --states=all --sort=i --format={'|'.join(FIELDS.values())}|%k"
        ).splitlines()
        return [Submission(*line.split("|", len(FIELDS))) for line in lines]

    def submission(self, id):
        return next(job for job in self.submissions() if job.id == id)

    def unfinished(self):
        return self.command("squeue --noheader --format=%i").split()

    def cancel_all(self):
        if jobs := self.unfinished():
            self.command(f"scancel {' '.join(jobs)}")
            wait_until(lambda: not self.unfinished(), "no job is left", 60)

    def after_each_job(self, commands):
        """Run these shell commands on the node when the processes of a job have ended.

        Slurm calls a job completed only after that.
        """
        write_script(self.folder / "epilog", commands)

    def lose_node(self, node):
        """Kill a node's slurmd and all its processes at once."""
        jobs = self.command(f"squeue --noheader --nodelist={node} --format=%i").split()
        daemon = self.daemons.pop(node)
        daemon.kill()
        daemon.wait()
        for process in [process for job in jobs for process in self.processes(job)]:
            process.kill()

    def processes(self, job=None):
        """All processes of a job, or of any: those of Slurm that look after a step, and its own."""
        title = f"slurmstepd: [{job}." if job else "slurmstepd: ["
        ours = self.environment["SLURM_CONF"].encode()
        for process in psutil.process_iter(["cmdline"]):
            if " ".join(process.info["cmdline"] or ()).startswith(title):
                # Not process.environ(), which a process that names itself like this reads as empty.
                if ours in Path(f"/proc/{process.pid}/environ").read_bytes():
                    yield from (process, *process.children(recursive=True))


def write_script(path, commands):
    part = path.with_suffix(".part")
    part.write_text(f"#!/bin/sh\n{commands}\n")
    part.chmod(0o755)
    part.replace(path)


def free_ports(count):
    """Free ports, chosen by the system."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [listener.getsockname()[1] for listener in sockets]
    finally:
        for listener in sockets:
            listener.close()
