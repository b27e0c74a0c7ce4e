/* Rules for the containers of a pod. */
#include <ctype.h>

#include "proto/kinds/kinds.h"

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

/* A port of the node is asked for twice: here, or in a container before this one; init containers run one by one,
 * each of them alone. */
static bool host_port_is_taken(const struct value *list, unsigned container, bool alone, const struct value *port)
{
    if (value_to_int(value_get(port, "hostPort"), 0) == 0) {
        return false;
    }
    for (unsigned i = alone ? container : 0; i <= container; i++) {
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

static void check_ports(const struct value *spec, const struct value *list, unsigned index, enum role role,
                        const struct fpath *p, struct errlist *l)
{
    bool host_network = role == ROLE_MAIN && value_to_bool(value_get(spec, "hostNetwork"), false);
    const struct value *ports = value_get(value_item(list, index), "ports");
    VALUE_FOR(i, ports)
    {
        const struct value *port = value_item(ports, i), *name = value_get(port, "name");
        const struct value *number = value_get(port, "containerPort"), *host = value_get(port, "hostPort");
        const struct value *ip = value_get(port, "hostIP");
        const struct fpath *at = FPATH_ITEM(p, i);
        if (number != NULL && value_to_int(number, 0) == 0) {
            bad_required(l, number, FPATH_AT(at, "containerPort"));
        } else {
            check_range(l, number, FPATH_AT(at, "containerPort"), 1, 65535);
        }
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
            bad_value(l, host, FPATH_AT(at, "hostPort"), "must match `containerPort` when `hostNetwork` is true");
        }
        if (host_port_is_taken(list, index, role != ROLE_MAIN, port)) {
            bad_duplicate(l, host, FPATH_AT(at, "hostPort"));
        }
    }
}

/* ---- Mounts ---- */

/* What is below a read-only mount can be read-only only if nothing is mounted there later. */
static void check_recursive(const struct value *m, const struct fpath *p, struct errlist *l)
{
    const struct value *deep = value_get(m, "recursiveReadOnly"), *propagation = value_get(m, "mountPropagation");
    if (!in_choices(value_to_str(deep), "Enabled|IfPossible")) {
        return;
    }
    if (!value_to_bool(value_get(m, "readOnly"), false)) {
        bad_forbidden(l, deep, FPATH_AT(p, "recursiveReadOnly"), "may only be specified when readOnly is true");
    }
    if (propagation != NULL && !in_choices(value_to_str(propagation), "None|")) {
        bad_forbidden(l, deep, FPATH_AT(p, "recursiveReadOnly"),
                      "may only be specified when mountPropagation is None or not specified");
    }
}

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
    const struct value *devices = value_get(container, "volumeDevices");
    if (value_to_str(name).n > 0 && value_find(devices, "name", value_to_str(name)) != NULL) {
        bad_value(l, name, FPATH_AT(p, "name"), "must not already exist in volumeDevices");
    }
    if (s.n > 0 && value_find(devices, "devicePath", s) != NULL) {
        bad_value(l, path, FPATH_AT(p, "mountPath"), "must not already exist as a path in volumeDevices");
    }
    check_recursive(m, p, l);
    static const char *const sub_paths[] = {"subPath", "subPathExpr"};
    bool image = value_get(value_find(value_get(spec, "volumes"), "name", value_to_str(name)), "image") != NULL;
    for (unsigned k = 0; image && k < ARRAY_SIZE(sub_paths); k++) {
        if (value_to_str(value_get(m, sub_paths[k])).n > 0) {
            bad_value(l, value_get(m, sub_paths[k]), FPATH_AT(p, sub_paths[k]),
                      "not allowed for the files of an image");
        }
    }
    check_descending_path(l, value_get(m, "subPath"), FPATH_AT(p, "subPath"));
    check_descending_path(l, value_get(m, "subPathExpr"), FPATH_AT(p, "subPathExpr"));
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

static void check_device(const struct value *spec, const struct value *mounts, const struct value *devices, unsigned i,
                         const struct fpath *p, struct errlist *l)
{
    const struct value *d = value_item(devices, i), *name = value_get(d, "name"), *path = value_get(d, "devicePath");
    const struct value *v = value_find(value_get(spec, "volumes"), "name", value_to_str(name));
    if (value_to_str(name).n > 0) {
        if (v == NULL) {
            bad_not_found(l, name, FPATH_AT(p, "name"));
        } else if (value_get(v, "persistentVolumeClaim") == NULL && value_get(v, "ephemeral") == NULL) {
            bad_value(l, name, FPATH_AT(p, "name"),
                      "can only use volume source type of PersistentVolumeClaim or Ephemeral");
        }
        if (value_find(devices, "name", value_to_str(name)) != d) {
            bad_value(l, name, FPATH_AT(p, "name"), "must be unique");
        }
        if (value_find(mounts, "name", value_to_str(name)) != NULL) {
            bad_value(l, name, FPATH_AT(p, "name"), "must not already exist in volumeMounts");
        }
    }
    if (value_to_str(path).n > 0) {
        if (value_find(devices, "devicePath", value_to_str(path)) != d) {
            bad_value(l, path, FPATH_AT(p, "devicePath"), "must be unique");
        }
        if (value_find(mounts, "mountPath", value_to_str(path)) != NULL) {
            bad_value(l, path, FPATH_AT(p, "devicePath"), "must not already exist as a path in volumeMounts");
        }
        check_no_dot_dot(path, FPATH_AT(p, "devicePath"), l);
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
        check_device(spec, mounts, devices, i, FPATH_ITEM(FPATH_AT(p, "volumeDevices"), i), l);
    }
}

/* ---- One container ---- */

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
    static const char *const resize[] = {"resizePolicy"};
    static const char *const sub_paths[] = {"subPath", "subPathExpr"};
    static const char *const extras[] = {"ports",     "livenessProbe", "readinessProbe", "startupProbe",
                                         "lifecycle", "resources",     "resizePolicy",   "restartPolicy"};
    const struct value *restart = value_get(c, "restartPolicy"), *target = value_get(c, "targetContainerName");
    const struct value *mounts = value_get(c, "volumeMounts");
    if (role == ROLE_MAIN && restart != NULL) {
        bad_forbidden(l, restart, FPATH_AT(p, "restartPolicy"), "may not be set for non-init containers");
    } else if (role == ROLE_INIT && !str_is(value_to_str(restart), "Always")) {
        if (restart != NULL) {
            bad_choice(l, restart, FPATH_AT(p, "restartPolicy"), "Always");
        }
        forbid(c, probes, ARRAY_SIZE(probes), "may not be set for init containers without restartPolicy=Always", p, l);
    }
    if (role == ROLE_INIT) {
        forbid(c, resize, ARRAY_SIZE(resize), "may not be set for init containers", p, l);
    } else if (role == ROLE_EPHEMERAL) {
        forbid(c, extras, ARRAY_SIZE(extras), "may not be set for an ephemeral container", p, l);
        if (value_to_str(target).n > 0 &&
            value_find(value_get(spec, "containers"), "name", value_to_str(target)) == NULL &&
            value_find(value_get(spec, "initContainers"), "name", value_to_str(target)) == NULL) {
            bad_not_found(l, target, FPATH_AT(p, "targetContainerName"));
        }
        VALUE_FOR(i, mounts)
        {
            forbid(value_item(mounts, i), sub_paths, ARRAY_SIZE(sub_paths), "may not be set for an ephemeral container",
                   FPATH_ITEM(FPATH_AT(p, "volumeMounts"), i), l);
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
    if (isspace((unsigned char)s.p[0]) || isspace((unsigned char)s.p[s.n - 1])) {
        bad_value(l, image, FPATH_AT(p, "image"), "must not have leading or trailing white space");
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
    check_ports(spec, list, i, role, FPATH_AT(p, "ports"), l);
    container_env_check(c, p, l);
    check_mounts(spec, c, p, l);
    if (role == ROLE_MAIN || (role == ROLE_INIT && str_is(value_to_str(value_get(c, "restartPolicy")), "Always"))) {
        container_probes_check(c, spec, p, l);
    }
    container_resources_check(spec, c, p, l);
    container_security_check(value_get(c, "securityContext"), FPATH_AT(p, "securityContext"), l);
}

/* Ports of all containers are compared with each other; mounts, devices and claims are looked up among others: so that
 * a pod of a megabyte is checked in no time, there is an end to all of them together. */
static bool has_too_many(const struct value *list, const struct fpath *p, struct errlist *l)
{
    static const char *const names[] = {"ports", "volumeMounts", "volumeDevices", "resources.claims"};
    for (unsigned k = 0; k < ARRAY_SIZE(names); k++) {
        unsigned count = 0;
        VALUE_FOR(i, list) count += value_count(value_path(value_item(list, i), names[k]));
        if (count > KIND_LIST_MAX) {
            errlist_add(l, ERROR_CAUSE_TOO_MANY, list, fpath_text(l->arena, p),
                        "Too many: %u %s: must have at most %u in all", count, names[k], KIND_LIST_MAX);
            return true;
        }
    }
    return false;
}

void pod_containers_check(const struct value *spec, const struct fpath *p, struct errlist *l)
{
    for (unsigned role = 0; role < ARRAY_SIZE(LISTS); role++) {
        const struct value *list = value_get(spec, LISTS[role]);
        if (has_too_many(list, FPATH_AT(p, LISTS[role]), l)) {
            continue;
        }
        VALUE_FOR(i, list)
        {
            check_container(spec, list, i, (enum role)role, FPATH_ITEM(FPATH_AT(p, LISTS[role]), i), l);
        }
    }
}
