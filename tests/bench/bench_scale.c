/* Figures of a cluster that is large: thousands of nodes of one process, and what is made of phases given as arguments.
 *
 * usage: bench_scale [--config FILE] --ca DIR [--master PID,ADDRESS,DIR]... [--program REEVE-MASTER] --nodes N
 *   make:TEMPLATE:PODS:REPLICAS   Deployments of so many replicas. Nodes say nothing until all pods have reached
 *                                 them: pods scheduled a second, on the disks of a majority; then until all run
 *   live:TEMPLATE:PODS:REPLICAS   the same, but pods run as they come: from the first apply until all run
 *   roll                          a new image for what was made last: until all new pods run and all old ones are gone
 *   list                          all pods of what was made last: the first page, and all pages
 *   memory                        of each master, the leader first, and of this program
 *   snapshot                      ConfigMaps are written until each master has written one more snapshot: how long that
 *                                 took
 *   failover                      the leader is killed: until another acknowledges a write, and, started again, until
 *                                 the former one answers a linearizable read, and all nodes have registered again
 *   restart                       the same of a master that does not lead
 *   beats:SECONDS                 nothing but heartbeats: what each costs
 *   tell:FILE                     makes the file: all that stands before has been done
 *   rest                          until the program is ended
 *   end                           what was made last goes: until the nodes have heard of all
 *   run:NAME:COMMAND              a command of the shell beside: how long it took
 * What leads is asked how long the longest turn of its loop was in each phase (bench_turns.h).
 * TEMPLATE: plain; spread (over zones, a skew of 1 at most); apart (no two of a Deployment on one node); together (all
 * of a Deployment in one zone); gangs (all of a Deployment placed together, or none: a PodGroup for each); fill (six of
 * them leave no room for a seventh on a node of 64 cpus); over (likewise, of a higher priority: for each another one
 * has to go where nodes are full). */
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/bench/bench_load.h"
#include "tests/bench/bench_masters.h"
#include "tests/bench/bench_nodes.h"
#include "tests/bench/bench_turns.h"

#define APPLY_AT_ONCE     8u
#define SNAPSHOT_KEYS     200u
#define SNAPSHOT_VALUE    65536u
#define SNAPSHOT_WRITES   8u /* in flight */
#define SNAPSHOT_WAIT_US  600000000u
#define NODES_BACK_MAX_US 600000000u

struct scale {
    struct kit kit;
    struct fleet fleet;
    struct masters masters;
    struct turns turns;
    unsigned total;      /* nodes of all processes */
    uint64_t own_cpu_us; /* when it was last looked at */
    unsigned round;      /* namespace of what was made last: "scaleROUND" */
    const char *template;
    unsigned pods, replicas, deployments;
    unsigned version; /* of the image */
    /* What is awaited, sums of the fleet; 0: nothing of them. */
    uint64_t ordered, running, gone;
    unsigned next, inflight;
    bool done;
};

struct template
{
    const char *name, *spec, *cpu;
};

static const struct template *template_of(const char *name)
{
    static const struct template templates[] = {
        {"plain", "", "10m"},
        {"spread",
         "topologySpreadConstraints: [{maxSkew: 1, topologyKey: topology.kubernetes.io/zone, "
         "whenUnsatisfiable: DoNotSchedule, labelSelector: {matchLabels: {app: d%u}}}], ",
         "10m"},
        {"apart",
         "affinity: {podAntiAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: "
         "kubernetes.io/hostname, labelSelector: {matchLabels: {app: d%u}}}]}}, ",
         "10m"},
        {"together",
         "affinity: {podAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: "
         "topology.kubernetes.io/zone, labelSelector: {matchLabels: {app: d%u}}}]}}, ",
         "10m"},
        {"gangs", "schedulingGroup: {podGroupName: d%u}, ", "10m"},
        {"fill", "", "10"},
        {"over", "priorityClassName: scale-over, ", "10"},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(templates); i++) {
        if (strcmp(templates[i].name, name) == 0) {
            return &templates[i];
        }
    }
    bench_die("no such template", name);
    return NULL;
}

/* ---- Figures ---- */

/* scale_NODES_PODS_TEMPLATE_WHAT */
static void figure(const struct scale *s, const char *what, double value, const char *unit)
{
    char name[100];
    snprintf(name, sizeof name, "scale_%u_%u_%s_%s", s->total, s->pods, s->template, what);
    kit_line(name, value, unit);
}

static double seconds_since(uint64_t start_us)
{
    return (double)(kit_now_us() - start_us) / 1e6;
}

static void reconnect(struct scale *s)
{
    kit_disconnect(&s->kit);
    kit_connect_leader(&s->kit);
}

/* From here to end_turns; of the leader that the kit is connected to. */
static void begin_turns(struct scale *s, bool with_past)
{
    turns_begin(&s->turns, &s->kit, rpc_session_peer_addr(s->kit.sessions[0]), with_past);
}

static void end_turns(struct scale *s, const char *what)
{
    char name[64];
    bool at_most;
    double ms = turns_end(&s->turns, &at_most);
    if (ms >= 0) {
        snprintf(name, sizeof name, at_most ? "%s_turn_at_most" : "%s_turn", what);
        figure(s, name, ms, "ms");
    }
    if (!at_most) {
        fprintf(stderr, "# the longest in ms: %s\n", s->turns.parts);
    }
}

/* The leader first, if it is known. */
static struct bench_master *master_at(struct scale *s, unsigned i)
{
    struct bench_master *first = masters_connected(&s->masters);
    unsigned at = first == NULL ? 0 : (unsigned)(first - s->masters.items);
    return i == 0 ? &s->masters.items[at] : &s->masters.items[i - 1 < at ? i - 1 : i];
}

static void tell_memory(struct scale *s)
{
    reconnect(s);
    for (unsigned i = 0; i < s->masters.count; i++) {
        char what[32];
        snprintf(what, sizeof what, "rss_%u", i + 1);
        figure(s, what, master_rss_mb(master_at(s, i)), "MB");
    }
    figure(s, "rss_nodes", master_rss_mb(&(struct bench_master){.pid = getpid()}), "MB");
}

static uint64_t own_cpu_us(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000u +
           (uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

/* What each has been on a core since the last time, for each of so many: nothing to do with what else the machine does.
 * what: NULL = only begin. */
static void tell_cpu(struct scale *s, const char *what, unsigned pods)
{
    char name[64];
    uint64_t now = own_cpu_us();
    double leader = 0, others = 0;
    for (unsigned i = 0; i < s->masters.count; i++) {
        double spent = (double)master_cpu_spent(master_at(s, i)) / pods;
        leader += i == 0 ? spent : 0;
        others += i == 0 ? 0 : spent;
    }
    double own = (double)(now - s->own_cpu_us) / pods;
    s->own_cpu_us = now;
    if (what == NULL || s->masters.count == 0) {
        return;
    }
    snprintf(name, sizeof name, "%s_leader_cpu", what);
    figure(s, name, leader, "us");
    snprintf(name, sizeof name, "%s_followers_cpu", what);
    figure(s, name, others, "us");
    snprintf(name, sizeof name, "%s_nodes_cpu", what);
    figure(s, name, own, "us");
}

/* ---- Making and ending ---- */

static void on_sums(struct fleet *f, void *data)
{
    struct scale *s = data;
    s->done = f->ordered >= s->ordered && f->running >= s->running && f->gone >= s->gone;
}

static void await(struct scale *s, uint64_t ordered, uint64_t running, uint64_t gone)
{
    s->ordered = ordered;
    s->running = running;
    s->gone = gone;
    s->fleet.on_change = on_sums;
    s->fleet.data = s;
    on_sums(&s->fleet, s);
    kit_run(&s->kit, &s->done, NODES_WAIT_MS);
    s->fleet.on_change = NULL;
}

static void write_next(struct scale *s);

static void on_written(const struct rpc_result *r, void *data)
{
    struct scale *s = data;
    bench_must(r, "a Deployment");
    s->inflight--;
    write_next(s);
    s->done = s->inflight == 0;
}

static void write_next(struct scale *s)
{
    char spec[400], group[300] = "";
    while (s->inflight < APPLY_AT_ONCE && s->next < s->deployments) {
        unsigned i = s->next++, replicas = MIN(s->replicas, s->pods - i * s->replicas);
        const struct template *t = template_of(s->template);
        snprintf(spec, sizeof spec, t->spec, i);
        if (strcmp(s->template, "gangs") == 0) {
            snprintf(group, sizeof group,
                     "{apiVersion: scheduling.k8s.io/v1alpha2, kind: PodGroup, metadata: {name: d%u, namespace: "
                     "scale%u}, spec: {schedulingPolicy: {gang: {minCount: %u}}}}, ",
                     i, s->round, replicas);
        }
        s->inflight++;
        bench_call(s->kit.sessions[i % s->kit.sessions_count], "apply", on_written, s,
                   "{objects: [%s{apiVersion: apps/v1, kind: Deployment, metadata: {name: d%u, namespace: scale%u}, "
                   "spec: {replicas: %u, selector: {matchLabels: {app: d%u}}, template: {metadata: {labels: {app: "
                   "d%u}}, spec: {%scontainers: [{name: c, image: 'busybox:1.%u', resources: {requests: {cpu: "
                   "%s}}}]}}}}]}",
                   group, i, s->round, replicas, i, i, spec, s->version, t->cpu);
    }
}

static void write_all(struct scale *s)
{
    s->next = 0;
    s->done = false;
    write_next(s);
    kit_run(&s->kit, &s->done, NODES_WAIT_MS);
}

static void on_prioritized(const struct rpc_result *r, void *data)
{
    struct scale *s = data;
    if (r->error != NULL && r->error->code != ERR_EXISTS) {
        bench_die("a PriorityClass", r->error->message);
    }
    s->done = true;
}

static void make_priority(struct scale *s)
{
    s->done = false;
    bench_call(s->kit.sessions[0], "create", on_prioritized, s,
               "{object: {apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, metadata: {name: scale-over}, value: "
               "1000}}");
    kit_run(&s->kit, &s->done, NODES_WAIT_MS);
}

static void make(struct scale *s, bool live)
{
    char ns[24];
    snprintf(ns, sizeof ns, "scale%u", ++s->round);
    kit_disconnect(&s->kit);
    load_namespace(&s->kit, ns);
    make_priority(s);
    s->version = 35;
    s->deployments = (s->pods + s->replicas - 1) / s->replicas;
    uint64_t ordered = s->fleet.ordered + s->pods, running = s->fleet.running + s->pods;
    s->fleet.hold = !live;
    begin_turns(s, false);
    tell_cpu(s, NULL, 1);
    uint64_t start = kit_now_us();
    write_all(s);
    fprintf(stderr, "# %u Deployments after %.1f s\n", s->deployments, seconds_since(start));
    await(s, ordered, 0, 0);
    double took = seconds_since(start);
    figure(s, live ? "live_bound" : "bound", took, "s");
    figure(s, live ? "live_rate" : "rate", s->pods / took, "1/s");
    if (!live) {
        tell_cpu(s, "bound", s->pods);
        end_turns(s, "bound");
        begin_turns(s, false);
        tell_cpu(s, NULL, 1);
        start = kit_now_us();
        fleet_release(&s->fleet);
    }
    await(s, ordered, running, 0);
    figure(s, live ? "live_running" : "reported", seconds_since(start), "s");
    tell_cpu(s, live ? "live" : "reported", s->pods);
    end_turns(s, live ? "live" : "reported");
}

static void roll(struct scale *s)
{
    reconnect(s);
    s->version++;
    begin_turns(s, false);
    tell_cpu(s, NULL, 1);
    uint64_t running = s->fleet.running + s->pods, gone = s->fleet.gone + s->pods, start = kit_now_us();
    write_all(s);
    await(s, 0, running, gone);
    figure(s, "rolled", seconds_since(start), "s");
    tell_cpu(s, "rolled", s->pods);
    end_turns(s, "rolled");
}

static void on_deleted(const struct rpc_result *r, void *data)
{
    struct scale *s = data;
    bench_must(r, "delete");
    s->done = true;
}

static void end(struct scale *s)
{
    reconnect(s);
    uint64_t gone = s->fleet.gone + s->pods, start = kit_now_us();
    begin_turns(s, false);
    s->done = false;
    bench_call(s->kit.sessions[0], "delete", on_deleted, s, "{kind: Namespace, name: scale%u}", s->round);
    kit_run(&s->kit, &s->done, NODES_WAIT_MS);
    await(s, 0, 0, gone);
    figure(s, "ended", seconds_since(start), "s");
    end_turns(s, "ended");
}

/* ---- Masters that end and come back ---- */

static void on_tick(uv_timer_t *t)
{
    (void)t; /* only lets the loop go round */
}

static void await_nodes(struct scale *s, const char *what)
{
    uv_timer_t tick;
    uint64_t start = kit_now_us();
    uv_timer_init(&s->kit.loop, &tick);
    uv_timer_start(&tick, on_tick, 100, 100);
    while (fleet_registered(&s->fleet) < s->fleet.count) {
        uv_run(&s->kit.loop, UV_RUN_ONCE);
        if (seconds_since(start) > NODES_BACK_MAX_US / 1e6) {
            bench_die(what, "the nodes did not register again");
        }
    }
    uv_close((uv_handle_t *)&tick, NULL);
    uv_run(&s->kit.loop, UV_RUN_NOWAIT);
}

/* Kills the leader, or another one, and starts it again. */
static void kill_one(struct scale *s, bool leads)
{
    char ns[24], name[40];
    const char *what = leads ? "failover" : "restart";
    reconnect(s);
    if (masters_connected(&s->masters) == NULL || s->masters.program == NULL || s->masters.count < 2) {
        bench_die(what, "the leader is none of --master, there is no other, or there is no --program");
    }
    struct bench_master *victim = master_at(s, leads ? 0 : 1);
    kit_disconnect(&s->kit);
    snprintf(ns, sizeof ns, "scale%u", s->round);
    double write_s = master_kill_to_write(&s->masters, victim, ns);
    if (leads) {
        figure(s, "failover", write_s, "s");
    }
    uint64_t start = kit_now_us();
    kit_connect_leader(&s->kit);
    begin_turns(s, leads); /* its first turns as the leader lie behind it by now */
    snprintf(name, sizeof name, "%s_to_read", what);
    figure(s, leads ? name : "restart", master_start_to_read(&s->masters, victim, ns), "s");
    await_nodes(s, what);
    snprintf(name, sizeof name, "%s_nodes_back", what);
    figure(s, name, seconds_since(start), "s");
    end_turns(s, what);
    snprintf(name, sizeof name, "%s_own_turn", what);
    figure(s, name, (double)master_counter(&s->masters, victim, "turnLongestEverUs") / 1000, "ms");
}

static void snapshot(struct scale *s)
{
    int64_t before[MASTERS_MAX];
    char ns[24], what[32];
    unsigned left = s->masters.count;
    uint64_t start = kit_now_us();
    for (unsigned i = 0; i < s->masters.count; i++) {
        before[i] = master_counter(&s->masters, &s->masters.items[i], "snapshots");
    }
    kit_disconnect(&s->kit);
    snprintf(ns, sizeof ns, "scale%u", s->round);
    load_prepare(&s->kit, ns, SNAPSHOT_KEYS, SNAPSHOT_VALUE);
    begin_turns(s, false);
    while (left > 0) {
        struct load l = {.kit = &s->kit, .kind = load_find("writes"), .ns = ns, .keys = SNAPSHOT_KEYS};
        l.value_bytes = SNAPSHOT_VALUE;
        load_run(&l, SNAPSHOT_WRITES, 0.5);
        samples_close(&l.samples);
        left = 0;
        for (unsigned i = 0; i < s->masters.count; i++) {
            left += master_counter(&s->masters, &s->masters.items[i], "snapshots") <= before[i];
        }
        if (kit_now_us() - start > SNAPSHOT_WAIT_US) {
            bench_die("snapshot", "not all masters have written one");
        }
    }
    for (unsigned i = 0; i < s->masters.count; i++) {
        const struct bench_master *b = master_at(s, i);
        snprintf(what, sizeof what, "snapshot_%u", i + 1);
        figure(s, what, (double)master_counter(&s->masters, b, "snapshotMs") / 1000, "s");
    }
    end_turns(s, "snapshot");
}

/* ---- Heartbeats ---- */

static int64_t heartbeats(struct scale *s)
{
    int64_t sum = 0;
    for (unsigned i = 0; i < s->masters.count; i++) {
        sum += master_counter(&s->masters, &s->masters.items[i], "heartbeats");
    }
    return sum;
}

static void on_time(uv_timer_t *t)
{
    struct scale *s = t->data;
    s->done = true;
}

static void beats(struct scale *s, unsigned seconds)
{
    uv_timer_t timer;
    reconnect(s);
    begin_turns(s, false);
    int64_t before = heartbeats(s);
    tell_cpu(s, NULL, 1);
    uint64_t start = kit_now_us();
    s->done = false;
    timer.data = s;
    uv_timer_init(&s->kit.loop, &timer);
    uv_timer_start(&timer, on_time, (uint64_t)seconds * 1000, 0);
    kit_run(&s->kit, &s->done, NODES_WAIT_MS);
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(&s->kit.loop, UV_RUN_NOWAIT);
    unsigned count = (unsigned)MAX(heartbeats(s) - before, 1);
    figure(s, "beats_rate", count / seconds_since(start), "1/s");
    tell_cpu(s, "beats", count);
    end_turns(s, "beats");
}

static void tell_file(const char *path)
{
    FILE *f = fopen(path, "we");
    if (f == NULL || fclose(f) != 0) {
        bench_die(path, "cannot be made");
    }
}

/* ---- Lists ---- */

static void list(struct scale *s)
{
    CLEANUP_BUF struct buf b = BUF_INIT, out = BUF_INIT;
    char ns[24];
    struct error err;
    uint64_t start = kit_now_us();
    unsigned objects = 0;
    struct str token = {0};
    reconnect(s);
    snprintf(ns, sizeof ns, "scale%u", s->round);
    for (unsigned page = 0; page == 0 || token.n > 0; page++) {
        buf_reset(&b);
        mp_write_map(&b, 2 + (token.n > 0));
        mp_write_key_str(&b, "kind", STR("Pod"));
        mp_write_key_str(&b, "namespace", str_of(ns));
        if (token.n > 0) {
            mp_write_key_str(&b, "continue", token);
        }
        buf_reset(&out);
        if (kit_call(&s->kit, s->kit.sessions[0], "list", &b, &out, &err) != 0) {
            bench_die("list", err.message);
        }
        struct mp m = mp_of(out.data, out.size);
        objects += mp_count(mp_get(m, "items"));
        token = mp_str(mp_get(m, "continue"));
        if (page == 0) {
            figure(s, "list_page", seconds_since(start) * 1000, "ms");
        }
    }
    figure(s, "list", seconds_since(start), "s");
    fprintf(stderr, "# %u objects listed\n", objects);
}

/* ---- Beside ---- */

static void on_command_over(uv_process_t *p, int64_t status, int signal)
{
    struct scale *s = p->data;
    if (status != 0 || signal != 0) {
        bench_die("a command failed", "see above");
    }
    uv_close((uv_handle_t *)p, NULL);
    s->done = true;
}

static void run(struct scale *s, char *spec)
{
    char *command = strchr(spec, ':');
    if (command == NULL) {
        bench_die("run", "no command");
    }
    *command++ = '\0';
    char *args[] = {"/usr/bin/setpriv", "--pdeathsig", "KILL", "/bin/bash", "-c", command, NULL};
    uv_stdio_container_t io[] = {
        {.flags = UV_IGNORE}, {.flags = UV_INHERIT_FD, .data.fd = 2}, {.flags = UV_INHERIT_FD, .data.fd = 2}};
    static uv_process_t process;
    process = (uv_process_t){.data = s};
    uint64_t start = kit_now_us();
    s->done = false;
    int rv = uv_spawn(&s->kit.loop, &process,
                      &(uv_process_options_t){
                          .file = args[0], .args = args, .stdio = io, .stdio_count = 3, .exit_cb = on_command_over});
    if (rv != 0) {
        bench_die(command, uv_strerror(rv));
    }
    kit_run(&s->kit, &s->done, NODES_WAIT_MS);
    figure(s, spec, seconds_since(start), "s");
}

/* ---- Phases ---- */

static void phase(struct scale *s, char *spec)
{
    static char names[64][16];
    char *rest = strchr(spec, ':');
    if (rest != NULL) {
        *rest++ = '\0';
    }
    fprintf(stderr, "# %s %s\n", spec, rest != NULL ? rest : "");
    if (strcmp(spec, "make") == 0 || strcmp(spec, "live") == 0) {
        char *name = names[s->round % ARRAY_SIZE(names)];
        if (rest == NULL || sscanf(rest, "%15[a-z]:%u:%u", name, &s->pods, &s->replicas) != 3 || s->replicas == 0) {
            bench_die(spec, "TEMPLATE:PODS:REPLICAS");
        }
        s->template = name;
        make(s, spec[0] == 'l');
    } else if (strcmp(spec, "run") == 0 && rest != NULL) {
        run(s, rest);
    } else if (strcmp(spec, "roll") == 0) {
        roll(s);
    } else if (strcmp(spec, "list") == 0) {
        list(s);
    } else if (strcmp(spec, "memory") == 0) {
        tell_memory(s);
    } else if (strcmp(spec, "failover") == 0 || strcmp(spec, "restart") == 0) {
        kill_one(s, spec[0] == 'f');
    } else if (strcmp(spec, "snapshot") == 0) {
        snapshot(s);
    } else if (strcmp(spec, "beats") == 0 && rest != NULL) {
        beats(s, (unsigned)strtoul(rest, NULL, 10));
    } else if (strcmp(spec, "tell") == 0 && rest != NULL) {
        tell_file(rest);
    } else if (strcmp(spec, "rest") == 0) {
        s->done = false;
        kit_run(&s->kit, &s->done, NODES_WAIT_MS);
    } else if (strcmp(spec, "end") == 0) {
        end(s);
    } else {
        bench_die("no such phase", spec);
    }
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'},   {"ca", required_argument, NULL, 'a'},
        {"master", required_argument, NULL, 'm'},   {"nodes", required_argument, NULL, 'n'},
        {"first", required_argument, NULL, 'f'},    {"total", required_argument, NULL, 't'},
        {"no-routes", no_argument, NULL, 'r'},      {"zones", required_argument, NULL, 'z'},
        {"capacity", required_argument, NULL, 'p'}, {"program", required_argument, NULL, 'x'},
        {"seconds", required_argument, NULL, 's'},  {NULL, 0, NULL, 0}};
    static struct scale s = {.template = "none"};
    struct fleet_config fleet = {.kit = &s.kit, .spread = true, .comes_back = true, .zones = 10};
    const char *config = NULL;
    int c;
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* whoever interrupts the script interrupts this */
    while ((c = getopt_long(argc, argv, "c:a:m:n:f:t:rz:p:x:s:", options, NULL)) != -1) {
        if (c == 'c') {
            config = optarg;
        } else if (c == 'a') {
            fleet.ca_dir = optarg;
        } else if (c == 'm' && s.masters.count < MASTERS_MAX) {
            masters_add(&s.masters, optarg);
        } else if (c == 'x') {
            s.masters.program = optarg;
        } else if (c == 's') {
            alarm((unsigned)strtoul(optarg, NULL, 10)); /* the signal ends the program */
        } else if (c == 'n') {
            fleet.nodes = (unsigned)strtoul(optarg, NULL, 10);
        } else if (c == 'f') {
            fleet.first = (unsigned)strtoul(optarg, NULL, 10);
        } else if (c == 't') {
            s.total = (unsigned)strtoul(optarg, NULL, 10);
        } else if (c == 'r') {
            fleet.no_routes = true;
        } else if (c == 'z') {
            fleet.zones = (unsigned)strtoul(optarg, NULL, 10);
        } else if (c == 'p') {
            fleet.capacity = (unsigned)strtoul(optarg, NULL, 10);
        } else {
            return 2;
        }
    }
    if (fleet.ca_dir == NULL || fleet.nodes == 0) {
        fprintf(stderr,
                "usage: bench_scale [--config FILE] --ca DIR [--master PID,ADDRESS,DIR]... --nodes N PHASE...\n");
        return 2;
    }
    s.total = MAX(s.total, fleet.nodes);
    kit_open(&s.kit, config);
    s.masters.kit = &s.kit;
    kit_connect_leader(&s.kit);
    uint64_t start = kit_now_us();
    fleet_open(&s.fleet, &fleet);
    figure(&s, "registered", seconds_since(start), "s");
    for (int i = optind; i < argc; i++) {
        phase(&s, argv[i]);
    }
    fflush(stdout);
    _exit(0); /* thousands of connections: the kernel closes them faster */
}
