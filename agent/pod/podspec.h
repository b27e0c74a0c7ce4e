/* The specification of a pod, as the node needs it: the object's fields read once into plain structs, and what can only
 * be known on the node resolved: environment, command line, files of volumes. Pure: no clock, no disk, no libuv call.
 *
 * Source: Kubernetes API v1 PodSpec, Container, Probe, SecurityContext, EnvVarSource, Volume; $(VAR) expansion as
 * documented for Container.command; QoS classes and OOM scores as the kubelet computes them.
 * Secrets: values that come from Secrets are only in what podspec_resolve and podspec_volume_files hand out, never
 * in an error. */
#ifndef AGENT_POD_PODSPEC_H
#define AGENT_POD_PODSPEC_H

#include "agent/pod/refs.h"
#include "agent/runtime/runtime.h"
#include "agent/volume/volume.h"
#include "proto/facts/qos.h"
#include "proto/schema/object.h"

#define PODSPEC_CONTAINERS_MAX  64u
#define PODSPEC_GRACE_DEFAULT_S 30

enum podspec_restart { PODSPEC_ALWAYS, PODSPEC_ON_FAILURE, PODSPEC_NEVER };

enum podspec_handler_kind {
    PODSPEC_HANDLER_NONE,
    PODSPEC_HANDLER_EXEC,
    PODSPEC_HANDLER_HTTP,
    PODSPEC_HANDLER_TCP,
    PODSPEC_HANDLER_GRPC,
    PODSPEC_HANDLER_SLEEP,
};
struct podspec_header {
    const char *name, *value;
};
struct podspec_handler {
    enum podspec_handler_kind kind;
    const char *const *argv; /* exec */
    const char *host;        /* http, tcp: "" = the pod's address */
    const char *path;        /* http */
    const char *service;     /* grpc */
    bool https;
    uint16_t port; /* names are resolved; 0 = no such port */
    const struct podspec_header *headers;
    unsigned headers_count;
    int64_t sleep_ms;
};
struct podspec_probe {
    struct podspec_handler handler; /* kind NONE = no such probe */
    int64_t initial_delay_ms, period_ms, timeout_ms;
    unsigned success_threshold, failure_threshold;
    int64_t grace_ms; /* terminationGracePeriodSeconds of the probe; -1 = the pod's */
};
enum { PODSPEC_STARTUP, PODSPEC_LIVENESS, PODSPEC_READINESS, PODSPEC_PROBES };

struct podspec_port {
    const char *name;     /* "" if none */
    const char *protocol; /* "tcp", "udp", "sctp" */
    const char *host_ip;
    uint16_t container_port, host_port;
};
struct podspec_mount {
    const char *name, *path, *sub_path, *propagation; /* sub_path "" = none; may be an expression */
    bool read_only, sub_path_is_expr;
    const char *recursive_read_only; /* "", "Disabled", "IfPossible", "Enabled" */
};
/* Amounts: 0 = not given. */
struct podspec_amounts {
    int64_t cpu_milli, memory_bytes, ephemeral_bytes;
    bool has_cpu, has_memory;
};
struct podspec_container {
    struct mp raw; /* the container in the object: env and envFrom are read when it is started */
    const char *name, *image, *pull_policy, *cwd;
    bool is_init;               /* one of initContainers */
    bool is_sidecar;            /* an init container with restartPolicy Always */
    bool is_ephemeral;          /* added to the running pod: runs once, and nothing waits for it */
    const char *target;         /* of an ephemeral one: the container whose processes it sees; "" = none */
    const char *const *command; /* not expanded; NULL = not given */
    const char *const *args;
    struct podspec_probe probes[PODSPEC_PROBES];
    struct podspec_handler post_start, pre_stop;
    const char *stop_signal; /* "SIGUSR1"; "" = the image's */
    const struct podspec_port *ports;
    unsigned ports_count;
    const struct podspec_mount *mounts;
    unsigned mounts_count;
    struct podspec_amounts requests, limits;
    struct runtime_security security;
    bool tty, stdin_open, stdin_once;
    const char *termination_message_path;
    bool message_from_log; /* terminationMessagePolicy FallbackToLogsOnError */
};

struct source; /* source.h */
struct podspec_volume {
    const char *name;
    const struct source *how; /* NULL = not supported */
    const char *source_name;  /* the member that says what it is: "nfs" */
    struct mp source;         /* its value */
};

struct podspec_total {
    int64_t cpu_milli, memory_bytes, ephemeral_bytes;
};
struct podspec_sysctl {
    const char *name, *value; /* name with dots */
};

struct podspec {
    struct arena arena;
    struct object *object; /* a reference; everything borrows from it or from the arena */
    const char *ns, *name, *uid;
    enum podspec_restart restart;
    enum qos_class qos;
    int64_t grace_ms;           /* spec.terminationGracePeriodSeconds */
    int64_t active_deadline_ms; /* 0 = none */
    bool deleting;              /* metadata.deletionTimestamp is set */
    int64_t deletion_grace_ms;  /* metadata.deletionGracePeriodSeconds; -1 = not set */
    bool host_network, host_ipc, host_pid;
    bool own_users;                /* hostUsers false: a user namespace of its own */
    bool shared_pid;               /* one PID namespace for all containers */
    const char *hostname, *domain; /* domain NULL = none */
    bool fqdn_hostname;            /* the kernel's host name is hostname.domain */
    const char *extra_hosts;       /* lines of hostAliases; NULL = none */
    enum podspec_dns_policy { PODSPEC_DNS_NODE, PODSPEC_DNS_CLUSTER, PODSPEC_DNS_NONE } dns; /* dnsPolicy */
    const char *const *dns_servers, *const *dns_searches, *const *dns_options; /* dnsConfig; NULL = none. "ndots:5" */
    const struct podspec_sysctl *sysctls;
    unsigned sysctls_count;
    const char *const *pull_secrets; /* names, NULL-terminated; NULL = none */
    const char *service_account;
    const char *runtime_class;                  /* "" = none */
    int64_t fs_group;                           /* -1 = none */
    const struct podspec_container *containers; /* init containers, containers, ephemeral containers: each in order */
    unsigned count, init_count;
    unsigned main_count; /* init containers and containers: what never changes; ephemeral ones are behind */
    unsigned left_out;   /* ephemeral containers beyond PODSPEC_CONTAINERS_MAX: not read */
    struct podspec_amounts whole_requests, whole_limits; /* spec.resources */
    struct podspec_total total;                          /* requests of the pod as a whole, overhead included */
    const struct podspec_volume *volumes;
    unsigned volumes_count;
};

/* The object must be a Pod (validated by the master). Takes a reference of its own. ERR_INVALID if it lacks what no
 * pod can lack. */
int podspec_new(const struct object *pod, struct podspec **out, struct error *err);
void podspec_free(struct podspec *s);
const struct podspec_container *podspec_find(const struct podspec *s, struct str container); /* NULL if none */
/* Does the pod need the content of this object (ConfigMap, Secret) anywhere? */
bool podspec_refers(const struct podspec *s, const struct object *to);
/* The name server of the node. */
struct podspec_dns {
    const char *server, *domain; /* "10.96.0.10", "cluster.local" */
};
/* resolv.conf of the pod, from the node's and the cluster's (NULL: the node answers no names): dnsConfig is added to
 * it, or stands alone with dnsPolicy None. Names are not given twice, options of the pod win, and the resolver's limits
 * are kept (3 name servers, 32 domains). In the arena; NULL = as the node's. */
const char *podspec_resolv_conf(const struct podspec *s, struct str node_conf, const struct podspec_dns *cluster,
                                struct arena *a);
/* "net/ipv4/x.y" and "net.ipv4.x/y" -> "net.ipv4.x/y": whichever separator comes first separates; in the arena. */
const char *podspec_sysctl_name(struct arena *a, struct str name);
/* Does this container ask for nothing that no node carries out: AppArmor, labels of SELinux, procMount Unmasked?
 * If not, reason is one word ("AppArmor") and message says why and what to do. */
#define PODSPEC_WHY_MAX 200
bool podspec_honoured(const struct podspec *s, const struct podspec_container *c, const char **reason,
                      char message[PODSPEC_WHY_MAX]);
/* For podspec_new: fills in s->total. Each amount is bounded, so that a sum over all pods of a node cannot overflow. */
void podspec_sum_requests(struct podspec *s);
struct podspec_total podspec_total_sum(struct podspec_total a, struct podspec_total b);

/* What the runtime is told about amounts. */
void podspec_container_resources(const struct podspec *s, const struct podspec_container *c, int64_t node_memory_bytes,
                                 struct runtime_resources *out);
struct cgroup_limits;
void podspec_pod_limits(const struct podspec *s, struct cgroup_limits *out);

/* Known only on the node. */
struct known;
struct tokens;
struct podspec_facts {
    const char *node_name, *host_ip, *pod_ip; /* pod_ip "" = none yet */
    int64_t node_cpu_milli, node_memory_bytes,
        node_ephemeral_bytes; /* allocatable: the default of resourceFieldRef limits */
    const struct refs *refs;
    const struct known *services; /* NULL: none are known */
    const struct tokens *tokens;  /* NULL: nobody reads them, and none are asked for (hollow nodes) */
};
/* What a container is told of Services, as Kubernetes does: NAME_SERVICE_HOST, NAME_SERVICE_PORT and the names that
 * Docker's links had. Each is given to set. `kubernetes` of namespace default always; and if `all`, the Services of the
 * pod's namespace, the first PODSPEC_LINKS_MAX by name: the kernel bounds what a program may begin with. One of them
 * that is called kubernetes stands for itself. */
#define PODSPEC_LINKS_MAX 200u
void podspec_service_links(const struct known *services, struct str ns, bool all, struct arena *a,
                           void (*set)(void *data, const char *name, const char *value), void *data);
struct podspec_resolved {
    const char *const *command, *const *args; /* expanded; NULL = not given */
    const char *const *env;                   /* "K=V", NULL-terminated */
};
/* In the arena. ERR_BUSY: ConfigMaps and Secrets are not known yet (wait, nothing is wrong). ERR_NOT_FOUND: `configmap
 * "x" not found`, `couldn't find key k in Secret ns/x`. ERR_INVALID: a field that is not supported. */
int podspec_resolve(const struct podspec *s, const struct podspec_container *c, const struct podspec_facts *f,
                    struct arena *a, struct podspec_resolved *out, struct error *err);
/* $(VAR) in text by a NULL-terminated "K=V" list: the last one counts; unknown names stay as they are, $$ is one $. */
const char *podspec_expand(struct arena *a, const char *text, const char *const *env);
/* The same for a subPathExpr, where every name must have a value: ERR_INVALID. */
int podspec_expand_sub_path(struct arena *a, const char *text, const char *const *env, const char **out,
                            struct error *err);

/* The files of a volume for which source_is_files holds. secret: belongs on tmpfs. Errors as podspec_resolve;
 * ERR_UNSUPPORTED for any other volume. */
int podspec_volume_files(const struct podspec *s, const struct podspec_volume *v, const struct podspec_facts *f,
                         struct arena *a, struct volume_file **files, unsigned *count, bool *secret, struct error *err);

/* How a volume that lies at source is mounted: what it holds decides what may be done with it. */
struct runtime_mount podspec_runtime_mount(const struct podspec_volume *v, const struct podspec_container *c,
                                           const struct podspec_mount *m, const char *source);

/* fieldRef and resourceFieldRef, for env and downward API files; in the arena. container may be NULL for fieldRef. */
int podspec_field(const struct podspec *s, const struct podspec_facts *f, struct str path, struct arena *a,
                  const char **out, struct error *err);
int podspec_resource_field(const struct podspec *s, const struct podspec_container *c, const struct podspec_facts *f,
                           struct mp ref, struct arena *a, const char **out, struct error *err);

#endif
