/* Services that have no address although their type needs one, and addresses and node ports that two Services have:
 * what a restored backup, or another program, may have left. The Service that is older keeps what both have; the
 * younger gets something else, and an event says so. Source: Kubernetes' ipallocator and portallocator repair loops,
 * which only report doubles.
 *
 * What is taken is what Services claim, so nothing can be taken by nobody. */
#include <stdio.h>

#include "controllers/registry.h"
#include "controllers/services/allocate.h"
#include "controllers/util.h"

#define COMPONENT "service-allocation"

struct doubles {
    const struct view *view;
    const struct object *service, *other; /* the first other one that was found */
    char key[64];
};

static void look_for_other(void *data, struct str key)
{
    struct doubles *d = data;
    struct view_iter it;
    view_iter_index(&it, d->view, VIEW_BY_CLAIM, key, d->service->kind, STR_NONE);
    VIEW_FOR(o, &it)
    {
        if (d->other == NULL && o != d->service && object_is_older(o, d->service)) {
            d->other = o;
            snprintf(d->key, sizeof d->key, "%.*s", STR_ARG(key));
        }
    }
}

static bool lacks_address(const struct object *service)
{
    struct mp spec = mp_get(object_mp(service), "spec");
    return !str_is(mp_str(mp_get(spec, "type")), "ExternalName") && str_empty(mp_str(mp_get(spec, "clusterIP")));
}

static int repair_reconcile(const struct reconcile_in *in, struct reconcile_out *out, struct error *err)
{
    const struct object *service = view_get(in->view, in->key.kind, in->key.ns, in->key.name);
    if (service == NULL || service->deleting) {
        return 0;
    }
    struct doubles d = {.view = in->view, .service = service};
    service->kind->claims(service, look_for_other, &d);
    if (d.other == NULL && !lacks_address(service)) {
        return 0;
    }
    struct claims claims;
    claims_init(&claims, NULL);
    struct value *doc = object_to_value(out->arena, service);
    const struct allocate al = {
        .view = in->view, .claims = &claims, .arena = out->arena, .rng = in->rng, .mends = true};
    int rv = service_allocate(&al, NULL, doc, err);
    claims_close(&claims);
    if (rv != 0) {
        return rv;
    }
    if (d.other != NULL) {
        controller_event(out, in, service, "Warning", "AllocatedTwice", COMPONENT,
                         "%s was given to Service %.*s/%.*s before; this one has got another", d.key,
                         STR_ARG(d.other->ns), STR_ARG(d.other->name));
    } else {
        controller_event(out, in, service, "Normal", "AddressAllocated", COMPONENT,
                         "the Service had no address and has got %.*s", STR_ARG(value_path_str(doc, "spec.clusterIP")));
    }
    return txn_update_value(out->txn, service->kind, doc, TXN_PART_ALL, service->revision, err);
}

struct claimants {
    const struct view *tip;
    const struct kind *kind;
    controller_emit *emit;
    void *data;
};

static void emit_claimants(void *data, struct str key)
{
    const struct claimants *c = data;
    struct view_iter it;
    view_iter_index(&it, c->tip, VIEW_BY_CLAIM, key, c->kind, STR_NONE);
    VIEW_FOR(o, &it)
    {
        c->emit(c->data, o->kind, o->ns, o->name);
    }
}

/* It, and those that have what it has: the younger one must look, whichever has changed. */
static void map_service(const struct view *tip, const struct object *old, const struct object *now,
                        controller_emit *emit, void *data)
{
    (void)old;
    if (now != NULL) {
        struct claimants c = {tip, now->kind, emit, data};
        emit(data, now->kind, now->ns, now->name);
        now->kind->claims(now, emit_claimants, &c);
    }
}

static const struct controller_watch watches[] = {{KIND_SERVICE, map_service}, {0, NULL}};
const struct controller controller_service_repair = {
    .name = "service-repair", .watches = watches, .reconcile = repair_reconcile};
