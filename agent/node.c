/* The Node object: what the machine has and how it is. Source: Kubernetes API v1 Node, NodeStatus. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "agent/node.h"
#include "agent/pod/handler.h"
#include "agent/pod/locals.h"
#include "agent/util/fsutil.h"
#include "base/timefmt.h"
#include "proto/facts/condition.h"
#include "proto/facts/storage.h"
#include "proto/model/quantity.h"
#include "proto/rpc/api.h"

#define HOLLOW_CPU_MILLI    64000
#define HOLLOW_MEMORY_BYTES (256ll << 30)
#define HOLLOW_DISK_BYTES   (1ll << 40)
#define PRESSURE_HOLD_MS    300000 /* the kubelet's evictionPressureTransitionPeriod: conditions do not flap */
#define NODE_IMAGES_MAX     50u    /* as the kubelet: the largest ones */

/* ---- Facts ---- */

/* "MemTotal" or "MemAvailable" of /proc/meminfo, in bytes; 0 if unknown. */
static int64_t meminfo(const char *key)
{
    char line[256];
    int64_t found = 0;
    FILE *f = fopen("/proc/meminfo", "re");
    while (f != NULL && found == 0 && fgets(line, sizeof line, f) != NULL) {
        size_t n = strlen(key);
        if (strncmp(line, key, n) == 0 && line[n] == ':') {
            found = strtoll(line + n + 1, NULL, 10) * 1024;
        }
    }
    if (f != NULL) {
        fclose(f);
    }
    return found;
}

static void read_os_image(char *out, size_t size)
{
    char line[256];
    FILE *f = fopen("/etc/os-release", "re");
    snprintf(out, size, "Linux");
    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        if (strncmp(line, "PRETTY_NAME=", 12) == 0) {
            char *value = line + 12 + (line[12] == '"');
            value[strcspn(value, "\"\n")] = '\0';
            snprintf(out, size, "%s", value);
        }
    }
    if (f != NULL) {
        fclose(f);
    }
}

static const char *arch_name(const char *machine)
{
    return strcmp(machine, "x86_64") == 0 ? "amd64" : strcmp(machine, "aarch64") == 0 ? "arm64" : machine;
}

static void hollow_facts(struct node_facts *f)
{
    *f = (struct node_facts){.cpu_milli = HOLLOW_CPU_MILLI,
                             .memory_bytes = HOLLOW_MEMORY_BYTES,
                             .disk_bytes = HOLLOW_DISK_BYTES,
                             .pods = AGENT_HOLLOW_PODS_MAX};
}

int64_t node_reserve_memory(int64_t memory_bytes)
{
    return MIN(MIN(MAX(memory_bytes / 20, INT64_C(256) << 20), INT64_C(2) << 30), memory_bytes / 4);
}

int64_t node_memory_for_pods(const struct agent *a)
{
    return a->facts.memory_bytes - a->facts.reserved_bytes;
}

void node_read_facts(struct agent *a, int64_t reserved_bytes)
{
    struct node_facts *f = &a->facts;
    struct utsname u;
    struct statvfs disk;
    *f = (struct node_facts){
        .cpu_milli = sysconf(_SC_NPROCESSORS_ONLN) * 1000, .memory_bytes = meminfo("MemTotal"), .pods = AGENT_PODS_MAX};
    char pids[32];
    f->pids = fs_read_line("/proc/sys/kernel/pid_max", pids, sizeof pids) ? strtoll(pids, NULL, 10) : 0;
    if (statvfs(a->dir, &disk) == 0) {
        f->disk_bytes = (int64_t)disk.f_blocks * (int64_t)disk.f_frsize;
    }
    f->reserved_bytes =
        reserved_bytes < 0 ? node_reserve_memory(f->memory_bytes) : MIN(reserved_bytes, f->memory_bytes);
    if (a->hollow) {
        hollow_facts(f);
    }
    if (uname(&u) == 0) {
        snprintf(f->kernel, sizeof f->kernel, "%s", u.release);
        snprintf(f->arch, sizeof f->arch, "%.15s", arch_name(u.machine));
    }
    snprintf(f->hostname, sizeof f->hostname, "%s", a->name);
    read_os_image(f->os_image, sizeof f->os_image);
    fs_read_line("/etc/machine-id", f->machine_id, sizeof f->machine_id);
    fs_read_line("/proc/sys/kernel/random/boot_id", f->boot_id, sizeof f->boot_id);
    int64_t wall = env_wall_ms(a->env);
    for (int i = 0; i < NODE_CONDITIONS; i++) {
        a->conditions[i] = (struct node_condition){.value = i == NODE_READY, .since_wall_ms = wall};
    }
}

int64_t node_pids_for_pods(void)
{
    char text[32];
    return fs_read_line("/proc/sys/kernel/pid_max", text, sizeof text) ? strtoll(text, NULL, 10) / 4 * 3 : 0;
}

/* ---- What is left ---- */

/* What the machine has left, or what the pods may still take of their part, whichever is less. */
static int64_t memory_left(const struct agent *a, const struct cgroup_usage *pods)
{
    int64_t left = meminfo("MemAvailable"), part = node_memory_for_pods(a) - (int64_t)pods->working_set_bytes;
    return left <= 0 ? INT64_MAX : MAX(MIN(left, part), 0);
}

static int64_t pids_left(const struct agent *a, const struct cgroup_usage *pods)
{
    char line[128];
    long long used;
    if (a->facts.pids <= 0 || !fs_read_line("/proc/loadavg", line, sizeof line) ||
        sscanf(line, "%*s %*s %*s %*d/%lld", &used) != 1) {
        return INT64_MAX;
    }
    return MAX(MIN(a->facts.pids - used, node_pids_for_pods() - (int64_t)pods->pids), 0);
}

static void look_at_room(struct agent *a)
{
    struct cgroup_usage pods = {0};
    if (cgroup_usage_all(a->cgroup, &pods, NULL) != 0) {
        pods = (struct cgroup_usage){0};
    }
    a->room.memory_bytes = memory_left(a, &pods);
    a->room.pids = pids_left(a, &pods);
}

/* ---- Conditions ---- */

static bool set_condition(struct agent *a, int which, bool is_short)
{
    struct node_condition *c = &a->conditions[which];
    int64_t now = env_now_ms(a->env);
    c->is_short = is_short;
    c->short_ms = is_short ? now : c->short_ms;
    bool value = is_short || (c->value && now - c->short_ms < PRESSURE_HOLD_MS);
    if (a->conditions[which].value == value) {
        return false;
    }
    c->value = value;
    c->since_wall_ms = env_wall_ms(a->env);
    return true;
}

bool node_check(struct agent *a)
{
    struct statvfs disk;
    if (a->hollow) {
        return false;
    }
    look_at_room(a);
    bool changed = set_condition(a, NODE_MEMORY_PRESSURE,
                                 a->room.memory_bytes < threshold_of(&a->evict_at.memory, a->facts.memory_bytes));
    changed |= set_condition(a, NODE_PID_PRESSURE, a->room.pids < threshold_of(&a->evict_at.pids, a->facts.pids));
    if (statvfs(a->dir, &disk) == 0 && disk.f_blocks > 0) {
        int64_t left = (int64_t)disk.f_bavail * (int64_t)disk.f_frsize;
        int64_t all = (int64_t)disk.f_blocks * (int64_t)disk.f_frsize;
        changed |= set_condition(a, NODE_DISK_PRESSURE, left < threshold_of(&a->evict_at.disk, all));
    }
    return changed;
}

static void add_condition(struct agent *a, struct arena *ar, struct value *list, int which)
{
    static const struct {
        const char *type, *yes, *yes_message, *no, *no_message;
    } words[NODE_CONDITIONS] = {
        [NODE_MEMORY_PRESSURE] = {"MemoryPressure", "NodeHasInsufficientMemory",
                                  "less memory is left than has to be (--eviction-hard)", "NodeHasSufficientMemory",
                                  "enough memory is available"},
        [NODE_DISK_PRESSURE] = {"DiskPressure", "NodeHasDiskPressure",
                                "less of the disk is free than has to be (--eviction-hard)", "NodeHasNoDiskPressure",
                                "enough of the disk is free"},
        [NODE_PID_PRESSURE] = {"PIDPressure", "NodeHasInsufficientPID",
                               "fewer process ids are left than have to be (--eviction-hard)", "NodeHasSufficientPID",
                               "enough process ids are available"},
        [NODE_READY] = {"Ready", "AgentReady", "the agent is ready for pods", "AgentNotReady",
                        "the agent is not ready"},
    };
    bool value = a->conditions[which].value;
    struct value *v = condition_new(ar, words[which].type, value ? "True" : "False", a->conditions[which].since_wall_ms,
                                    value ? words[which].yes : words[which].no,
                                    value ? words[which].yes_message : words[which].no_message);
    value_set(ar, v, "lastHeartbeatTime", value_time(ar, env_wall_ms(a->env)));
    value_append(ar, list, v);
}

/* ---- Parts of the status ---- */

static struct value *amounts(const struct agent *agent, int64_t memory_bytes, struct arena *a)
{
    const struct node_facts *f = &agent->facts;
    struct value *v = value_map(a);
    char text[QUANTITY_SIZE];
    quantity_format_milli(f->cpu_milli, text);
    value_set(a, v, "cpu", value_cstr(a, text));
    quantity_format_bytes(f->disk_bytes, text);
    value_set(a, v, "ephemeral-storage", value_cstr(a, text));
    quantity_format_bytes(memory_bytes, text);
    value_set(a, v, "memory", value_cstr(a, text));
    value_set(a, v, "pods", value_strf(a, "%u", f->pods));
    quantity_format_bytes(locals_bytes(agent), text);
    value_set(a, v, STORAGE_LOCAL_RESOURCE, value_cstr(a, text));
    return v;
}

static void add_address(struct arena *a, struct value *list, const char *type, const char *address)
{
    struct value *v = value_map(a);
    value_set(a, v, "type", value_cstr(a, type));
    value_set(a, v, "address", value_cstr(a, address));
    value_append(a, list, v);
}

static struct value *info(struct agent *a, struct arena *ar)
{
    struct value *v = value_map(ar);
    const struct node_facts *f = &a->facts;
    value_set(ar, v, "machineID", value_cstr(ar, f->machine_id));
    value_set(ar, v, "systemUUID", value_cstr(ar, f->machine_id));
    value_set(ar, v, "bootID", value_cstr(ar, f->boot_id));
    value_set(ar, v, "kernelVersion", value_cstr(ar, f->kernel));
    value_set(ar, v, "osImage", value_cstr(ar, f->os_image));
    value_set(ar, v, "containerRuntimeVersion",
              value_strf(ar, "%s://%s", a->pod_node.runtime_name, runtime_version(a->runtime)));
    value_set(ar, v, "kubeletVersion", value_strf(ar, "v%s", REEVE_VERSION));
    value_set(ar, v, "kubeProxyVersion", value_strf(ar, "v%s", REEVE_VERSION));
    value_set(ar, v, "operatingSystem", value_cstr(ar, "linux"));
    value_set(ar, v, "architecture", value_cstr(ar, f->arch));
    return v;
}

static int by_size(const void *x, const void *y)
{
    const struct image *a = *(struct image *const *)x, *b = *(struct image *const *)y;
    return a->size_bytes == b->size_bytes ? strcmp(a->id, b->id) : a->size_bytes > b->size_bytes ? -1 : 1;
}

static struct value *images(struct agent *a, struct arena *ar)
{
    struct image **list = NULL;
    unsigned count = image_list(a->images, &list);
    struct value *out = value_list(ar);
    if (count > 0) {
        qsort(list, count, sizeof *list, by_size);
    }
    for (unsigned i = 0; i < count; i++) {
        if (i < NODE_IMAGES_MAX && list[i]->refs[0] != NULL) {
            struct value *v = value_map(ar), *names = value_list(ar);
            for (unsigned k = 0; list[i]->refs[k] != NULL; k++) {
                value_append(ar, names, value_cstr(ar, list[i]->refs[k]));
            }
            value_set(ar, v, "names", names);
            value_set(ar, v, "sizeBytes", value_int(ar, (int64_t)list[i]->size_bytes));
            value_append(ar, out, v);
        }
        image_unref(list[i]);
    }
    free(list);
    return out;
}

/* What crun and this agent can do together is known; what other runtimes can, they do not say. */
static void add_handler(struct agent *a, struct arena *ar, struct value *list, const char *name, bool known)
{
    struct value *v = value_map(ar);
    value_set(ar, v, "name", value_cstr(ar, name));
    if (known) {
        struct value *features = value_ensure_map(ar, v, "features");
        value_set(ar, features, "recursiveReadOnlyMounts", value_bool(ar, true));
        value_set(ar, features, "userNamespaces", value_bool(ar, a->no_user_namespaces == NULL));
    }
    value_append(ar, list, v);
}

/* The handlers that RuntimeClasses may name here; empty: of pods that name no class. */
static struct value *handlers(struct agent *a, struct arena *ar)
{
    struct value *list = value_list(ar);
    add_handler(a, ar, list, "", !a->hollow);
    add_handler(a, ar, list, HANDLER_CRUN, !a->hollow);
    for (unsigned i = 0; i < a->handlers_count; i++) {
        add_handler(a, ar, list, a->handlers[i].name, false);
    }
    return list;
}

static struct value *status(struct agent *a, struct arena *ar)
{
    struct value *v = value_map(ar), *conditions = value_list(ar), *addresses = value_list(ar);
    value_set(ar, v, "capacity", amounts(a, a->facts.memory_bytes, ar));
    value_set(ar, v, "allocatable", amounts(a, node_memory_for_pods(a), ar));
    for (int i = 0; i < NODE_CONDITIONS; i++) {
        add_condition(a, ar, conditions, i);
    }
    value_set(ar, v, "conditions", conditions);
    add_address(ar, addresses, "InternalIP", a->node_ip);
    add_address(ar, addresses, "Hostname", a->facts.hostname);
    value_set(ar, v, "addresses", addresses);
    value_set(ar, v, "nodeInfo", info(a, ar));
    if (!a->hollow) {
        value_set(ar, v, "images", images(a, ar));
    }
    value_set(ar, v, "runtimeHandlers", handlers(a, ar));
    value_set(ar, value_ensure_map(ar, v, "features"), "supplementalGroupsPolicy", value_bool(ar, !a->hollow));
    return v;
}

/* ---- Documents ---- */

void node_write(struct buf *out, void *data)
{
    struct agent *a = data;
    CLEANUP_ARENA struct arena ar;
    arena_init(&ar);
    struct value *doc = value_map(&ar), *meta = value_map(&ar), *labels = value_map(&ar), *annotations = value_map(&ar);
    value_set(&ar, doc, "apiVersion", value_cstr(&ar, "v1"));
    value_set(&ar, doc, "kind", value_cstr(&ar, "Node"));
    value_set(&ar, meta, "name", value_cstr(&ar, a->name));
    value_set(&ar, labels, "kubernetes.io/arch", value_cstr(&ar, a->facts.arch));
    value_set(&ar, labels, "kubernetes.io/hostname", value_cstr(&ar, a->facts.hostname));
    value_set(&ar, labels, "kubernetes.io/os", value_cstr(&ar, "linux"));
    value_set(&ar, meta, "labels", labels);
    value_set(&ar, annotations, STORAGE_LOCAL_ROOT, value_cstr(&ar, locals_dir(a)));
    value_set(&ar, meta, "annotations", annotations);
    value_set(&ar, doc, "metadata", meta);
    value_set(&ar, doc, "spec", value_map(&ar));
    value_set(&ar, doc, "status", status(a, &ar));
    msgpack_write_value(out, doc);
}

bool node_write_status(struct buf *out, void *data)
{
    CLEANUP_ARENA struct arena ar;
    arena_init(&ar);
    msgpack_write_value(out, status(data, &ar));
    return true;
}
