/* Rules for the containers of a pod. */
#include "proto/kinds/kinds.h"
#include "proto/quantity.h"

enum role { ROLE_MAIN, ROLE_INIT, ROLE_EPHEMERAL };
static const char *const LISTS[] = {"containers", "initContainers", "ephemeralContainers"};

/* ---- Ports ---- */

static bool same_host_port(const struct value *a, const struct value *b)
{
    return value_to_int(value_get(a, "hostPort"), 0) != 0 &&
           value_to_int(value_get(a, "hostPort"), 0) == value_to_int(value_get(b, "hostPort"), 0) &&
           str_eq(value_to_str(value_get(a, "protocol")), value_to_str(value_get(b, "protocol"))) &&
           str_eq(value_to_str(value_get(a, "hostIP")), value_to_str(value_get(b, "hostIP")));
}

/* A port of the node is asked for twice: here, or in a container before this one. */
static bool host_port_is_taken(const struct value *list, unsigned container, const struct value *port)
{
    if (value_to_int(value_get(port, "hostPort"), 0) == 0) {
        return false;
    }
    for (unsigned i = 0; i <= container; i++) {
        const struct value *ports = value_get(value_item(list, i), "ports");
        VALUE_FOR(j, ports)
        {
            if (value_item(ports, j) == port) {
                return false;
            }
            if (same_host_port(value_item(ports, j), port)) {
                return true;
            }
        }
    }
    return false;
}

static void check_ports(const struct value *spec, const struct value *list, unsigned index, const struct fpath *p,
                        struct errlist *l)
{
    bool host_network = value_to_bool(value_get(spec, "hostNetwork"), false);
    const struct value *ports = value_get(value_item(list, index), "ports");
    VALUE_FOR(i, ports)
    {
        const struct value *port = value_item(ports, i), *name = value_get(port, "name");
        const struct value *number = value_get(port, "containerPort"), *host = value_get(port, "hostPort");
        const struct value *ip = value_get(port, "hostIP");
        const struct fpath *at = FPATH_ITEM(p, i);
        check_range(l, number, FPATH_AT(at, "containerPort"), 1, 65535);
        check_range(l, host, FPATH_AT(at, "hostPort"), 0, 65535);
        if (value_to_str(name).n > 0 && !name_is_port(value_to_str(name))) {
            bad_value(l, name, FPATH_AT(at, "name"), NAME_PORT_WHY);
        }
        if (value_to_str(name).n > 0 && value_find(ports, "name", value_to_str(name)) != port) {
            bad_duplicate(l, name, FPATH_AT(at, "name"));
        }
        if (value_to_str(ip).n > 0 && !name_is_ip(value_to_str(ip))) {
            bad_value(l, ip, FPATH_AT(at, "hostIP"), "must be a valid IP address");
        }
        if (host_network && value_to_int(host, 0) != 0 && number != NULL && host->integer != number->integer) {
            bad_value(l, number, FPATH_AT(at, "containerPort"), "must match `hostPort` when `hostNetwork` is true");
        }
        if (host_port_is_taken(list, index, port)) {
            bad_duplicate(l, host, FPATH_AT(at, "hostPort"));
        }
    }
}

/* ---- Resources ---- */

static bool is_standard_resource(struct str name)
{
    return in_choices(name, "cpu|memory|ephemeral-storage") || str_starts(name, STR("hugepages-"));
}

static void check_names(const struct value *list, const struct fpath *p, struct errlist *l)
{
    check_resource_list(l, list, p);
    for (unsigned i = 0; i < value_count(list); i++) {
        const struct value_member *m = &list->map.members[i];
        int64_t milli;
        if (is_standard_resource(m->key)) {
            continue;
        }
        if (memchr(m->key.p, '/', m->key.n) == NULL) {
            bad_value(l, value_str(l->arena, m->key), FPATH_KEY(p, m->key),
                      "must be a standard resource for containers, or have a prefix (such as example.com/name)");
        } else if (quantity_milli(value_to_str(m->value), &milli) && milli % 1000 != 0) {
            bad_value(l, m->value, FPATH_KEY(p, m->key), "must be an integer");
        }
    }
}

/* What cannot be shared out in parts (devices, huge pages) must be requested exactly as limited. */
static void check_against_limit(const struct value_member *request, const struct value *limit, const struct fpath *p,
                                struct errlist *l)
{
    bool exact = !in_choices(request->key, "cpu|memory|ephemeral-storage");
    if (limit == NULL) {
        if (exact) {
            errlist_add(l, request->value, fpath_text(l->arena, FPATH_AT(p, "limits")),
                        "Required value: a limit must be set for %.*s", STR_ARG(request->key));
        }
        return;
    }
    int c = quantity_cmp(value_to_str(request->value), value_to_str(limit));
    if (c > 0 || (exact && c != 0)) {
        bad_value(l, request->value, FPATH_AT(p, "requests"),
                  arena_printf(l->arena, "must be %s %.*s limit of %.*s", exact ? "equal to" : "less than or equal to",
                               STR_ARG(request->key), STR_ARG(value_to_str(limit))));
    }
}

static void check_resources(const struct value *pod, const struct value *resources, const struct fpath *p,
                            struct errlist *l)
{
    const struct value *limits = value_get(resources, "limits"), *requests = value_get(resources, "requests");
    const struct value *claims = value_get(resources, "claims");
    check_names(limits, FPATH_AT(p, "limits"), l);
    check_names(requests, FPATH_AT(p, "requests"), l);
    for (unsigned i = 0; i < value_count(requests); i++) {
        const struct value_member *m = &requests->map.members[i];
        check_against_limit(m, value_get_str_key(limits, m->key), p, l);
    }
    VALUE_FOR(i, claims)
    {
        const struct value *name = value_get(value_item(claims, i), "name");
        if (value_to_str(name).n > 0 &&
            value_find(value_get(pod, "resourceClaims"), "name", value_to_str(name)) == NULL) {
            bad_not_found(l, name, FPATH_AT(FPATH_ITEM(FPATH_AT(p, "claims"), i), "name"));
        }
    }
}

/* ---- Mounts ---- */

static void check_mount(const struct value *spec, const struct value *container, const struct value *mounts, unsigned i,
                        const struct fpath *p, struct errlist *l)
{
    const struct value *m = value_item(mounts, i), *name = value_get(m, "name"), *path = value_get(m, "mountPath");
    struct str s = value_to_str(path);
    if (value_to_str(name).n > 0 && value_find(value_get(spec, "volumes"), "name", value_to_str(name)) == NULL) {
        bad_not_found(l, name, FPATH_AT(p, "name"));
    }
    if (s.n > 0 && value_find(mounts, "mountPath", s) != m) {
        bad_value(l, path, FPATH_AT(p, "mountPath"), "must be unique");
    }
    if (s.n > 0 && memchr(s.p, ':', s.n) != NULL) {
        bad_value(l, path, FPATH_AT(p, "mountPath"), "must not contain ':'");
    }
    check_relative_path(l, value_get(m, "subPath"), FPATH_AT(p, "subPath"));
    check_relative_path(l, value_get(m, "subPathExpr"), FPATH_AT(p, "subPathExpr"));
    if (value_to_str(value_get(m, "subPath")).n > 0 && value_to_str(value_get(m, "subPathExpr")).n > 0) {
        bad_value(l, value_get(m, "subPathExpr"), FPATH_AT(p, "subPathExpr"),
                  "subPathExpr and subPath are mutually exclusive");
    }
    if (str_is(value_to_str(value_get(m, "mountPropagation")), "Bidirectional") &&
        !value_path_bool(container, "securityContext.privileged", false)) {
        bad_forbidden(l, value_get(m, "mountPropagation"), FPATH_AT(p, "mountPropagation"),
                      "Bidirectional mount propagation is available only to privileged containers");
    }
}

static void check_mounts(const struct value *spec, const struct value *container, const struct fpath *p,
                         struct errlist *l)
{
    const struct value *mounts = value_get(container, "volumeMounts"), *devices = value_get(container, "volumeDevices");
    VALUE_FOR(i, mounts)
    {
        check_mount(spec, container, mounts, i, FPATH_ITEM(FPATH_AT(p, "volumeMounts"), i), l);
    }
    VALUE_FOR(i, devices)
    {
        const struct value *d = value_item(devices, i), *name = value_get(d, "name");
        const struct value *path = value_get(d, "devicePath");
        const struct value *v = value_find(value_get(spec, "volumes"), "name", value_to_str(name));
        const struct fpath *at = FPATH_ITEM(FPATH_AT(p, "volumeDevices"), i);
        if (value_to_str(name).n > 0 && v == NULL) {
            bad_not_found(l, name, FPATH_AT(at, "name"));
        } else if (v != NULL && value_get(v, "persistentVolumeClaim") == NULL && value_get(v, "ephemeral") == NULL) {
            bad_value(l, name, FPATH_AT(at, "name"),
                      "can only use volume source type of PersistentVolumeClaim or Ephemeral");
        }
        if (value_to_str(path).n > 0 && value_find(devices, "devicePath", value_to_str(path)) != d) {
            bad_value(l, path, FPATH_AT(at, "devicePath"), "must be unique");
        }
    }
}

/* ---- One container ---- */

static void check_security(const struct value *sc, const struct fpath *p, struct errlist *l)
{
    check_range(l, value_get(sc, "runAsUser"), FPATH_AT(p, "runAsUser"), 0, INT32_MAX);
    check_range(l, value_get(sc, "runAsGroup"), FPATH_AT(p, "runAsGroup"), 0, INT32_MAX);
    const struct value *escalation = value_get(sc, "allowPrivilegeEscalation");
    if (!value_to_bool(escalation, true) && value_to_bool(value_get(sc, "privileged"), false)) {
        bad_value(l, escalation, FPATH_AT(p, "allowPrivilegeEscalation"),
                  "cannot set `allowPrivilegeEscalation` to false and `privileged` to true");
    }
}

static void forbid(const struct value *c, const char *const *names, unsigned count, const char *why,
                   const struct fpath *p, struct errlist *l)
{
    for (unsigned i = 0; i < count; i++) {
        const struct value *v = value_get(c, names[i]);
        if (v != NULL && !((v->type == VALUE_LIST || v->type == VALUE_MAP) && value_count(v) == 0)) {
            bad_forbidden(l, v, FPATH_AT(p, names[i]), why);
        }
    }
}

static void check_role(const struct value *spec, const struct value *c, enum role role, const struct fpath *p,
                       struct errlist *l)
{
    static const char *const probes[] = {"lifecycle", "livenessProbe", "readinessProbe", "startupProbe"};
    static const char *const extras[] = {"ports",     "livenessProbe", "readinessProbe", "startupProbe",
                                         "lifecycle", "resources",     "resizePolicy",   "restartPolicy"};
    const struct value *restart = value_get(c, "restartPolicy"), *target = value_get(c, "targetContainerName");
    if (role == ROLE_MAIN && restart != NULL) {
        bad_forbidden(l, restart, FPATH_AT(p, "restartPolicy"), "may not be set for non-init containers");
    } else if (role == ROLE_INIT && restart == NULL) {
        forbid(c, probes, ARRAY_SIZE(probes), "may not be set for init containers without restartPolicy=Always", p, l);
    } else if (role == ROLE_INIT && !str_is(value_to_str(restart), "Always")) {
        bad_choice(l, restart, FPATH_AT(p, "restartPolicy"), "Always");
    } else if (role == ROLE_EPHEMERAL) {
        forbid(c, extras, ARRAY_SIZE(extras), "may not be set for an ephemeral container", p, l);
        if (value_to_str(target).n > 0 &&
            value_find(value_get(spec, "containers"), "name", value_to_str(target)) == NULL &&
            value_find(value_get(spec, "initContainers"), "name", value_to_str(target)) == NULL) {
            bad_not_found(l, target, FPATH_AT(p, "targetContainerName"));
        }
    }
}

/* All containers of a pod share one room for names. */
static bool name_is_taken(const struct value *spec, const struct value *container, struct str name)
{
    for (unsigned i = 0; i < ARRAY_SIZE(LISTS); i++) {
        const struct value *found = value_find(value_get(spec, LISTS[i]), "name", name);
        if (found != NULL) {
            return found != container;
        }
    }
    return false;
}

static void check_image(const struct value *c, const struct fpath *p, struct errlist *l)
{
    const struct value *image = value_get(c, "image");
    struct str s = value_to_str(image);
    if (s.n == 0) {
        bad_required(l, image != NULL ? image : c, FPATH_AT(p, "image"));
        return;
    }
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == ' ' || s.p[i] == '\t' || s.p[i] == '\n' || s.p[i] == '\r') {
            bad_value(l, image, FPATH_AT(p, "image"), "must not contain white space");
            return;
        }
    }
}

static void check_container(const struct value *spec, const struct value *list, unsigned i, enum role role,
                            const struct fpath *p, struct errlist *l)
{
    const struct value *c = value_item(list, i), *name = value_get(c, "name");
    if (value_to_str(name).n > 0) {
        check_dns_label(l, c, name, FPATH_AT(p, "name"));
        if (name_is_taken(spec, c, value_to_str(name))) {
            bad_duplicate(l, name, FPATH_AT(p, "name"));
        }
    }
    check_image(c, p, l);
    check_role(spec, c, role, p, l);
    check_ports(spec, list, i, FPATH_AT(p, "ports"), l);
    container_env_check(c, p, l);
    check_mounts(spec, c, p, l);
    container_probes_check(c, spec, p, l);
    check_resources(spec, value_get(c, "resources"), FPATH_AT(p, "resources"), l);
    check_security(value_get(c, "securityContext"), FPATH_AT(p, "securityContext"), l);
}

/* Ports of all containers are compared with each other. */
static bool has_too_many_ports(const struct value *list, const struct fpath *p, struct errlist *l)
{
    unsigned count = 0;
    VALUE_FOR(i, list)
    {
        count += value_count(value_get(value_item(list, i), "ports"));
    }
    if (count > KIND_LIST_MAX) {
        errlist_add(l, list, fpath_text(l->arena, p), "Too many: %u ports: must have at most %u in all", count,
                    KIND_LIST_MAX);
    }
    return count > KIND_LIST_MAX;
}

void pod_containers_check(const struct value *spec, const struct fpath *p, struct errlist *l)
{
    for (unsigned role = 0; role < ARRAY_SIZE(LISTS); role++) {
        const struct value *list = value_get(spec, LISTS[role]);
        if (has_too_many_ports(list, FPATH_AT(p, LISTS[role]), l)) {
            continue;
        }
        VALUE_FOR(i, list)
        {
            check_container(spec, list, i, (enum role)role, FPATH_ITEM(FPATH_AT(p, LISTS[role]), i), l);
        }
    }
}
