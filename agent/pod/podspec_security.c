/* Whose rights a container has in the end: what is asked there that no node carries out, and how its volumes are
 * mounted. Going on without what was asked would break what the pod was promised, so nodes refuse it. The masters do so
 * before, where it is new (FIELD_REFUSED): here it is for objects that were stored before, and for what stands in
 * annotations. */
#include "agent/pod/source.h"

#include <stdio.h>

#define APPARMOR_ANNOTATION "container.apparmor.security.beta.kubernetes.io/"

static bool asks_for_profile(struct str type)
{
    return type.n > 0 && !str_is(type, "Unconfined") && !str_is(type, "unconfined");
}

/* The field of the container, else its annotation of old, else the field of the pod. */
static bool asks_for_apparmor(const struct podspec *s, const struct podspec_container *c, struct mp pod, struct mp own)
{
    struct str type = mp_str(mp_path(own, "appArmorProfile.type"));
    if (type.n == 0) {
        CLEANUP_FREE char *key = xasprintf(APPARMOR_ANNOTATION "%s", c->name);
        type = mp_str(mp_get(mp_path(object_mp(s->object), "metadata.annotations"), key));
    }
    return asks_for_profile(type.n > 0 ? type : mp_str(mp_path(pod, "appArmorProfile.type")));
}

static bool asks_for_label(struct mp pod, struct mp own)
{
    return mp_count(mp_get(own, "seLinuxOptions")) > 0 || mp_count(mp_get(pod, "seLinuxOptions")) > 0;
}

bool podspec_honoured(const struct podspec *s, const struct podspec_container *c, const char **reason,
                      char message[PODSPEC_WHY_MAX])
{
    struct mp spec = mp_get(object_mp(s->object), "spec");
    struct mp pod = mp_get(spec, "securityContext"), own = mp_get(c->raw, "securityContext");
    const char *why = NULL;
    if (asks_for_apparmor(s, c, pod, own)) {
        *reason = "AppArmor";
        why = "Cannot enforce AppArmor: this node sets no profiles; take appArmorProfile away or say Unconfined";
    } else if (asks_for_label(pod, own)) {
        *reason = "SELinux";
        why = "Cannot set labels of SELinux: take seLinuxOptions away";
    } else if (c->security.unmasked_proc && !s->own_users) {
        *reason = "ProcMount";
        why = "procMount Unmasked is carried out with hostUsers false alone";
    }
    if (why != NULL) {
        snprintf(message, PODSPEC_WHY_MAX, "%s (container %.63s)", why, c->name);
    }
    return why == NULL;
}

struct runtime_mount podspec_runtime_mount(const struct podspec_volume *v, const struct podspec_container *c,
                                           const struct podspec_mount *m, const char *source)
{
    bool data = source_is_files(v);
    return (struct runtime_mount){
        .source = source,
        .target = m->path,
        .data = data,
        /* A privileged container has device nodes where it likes. A hostPath is as the node has it. */
        .no_device = v->how->scratch && !c->security.privileged,
        .read_only = m->read_only || data,
        .propagation = m->propagation};
}
