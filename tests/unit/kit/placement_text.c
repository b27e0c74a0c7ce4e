#include "tests/unit/kit/placement_text.h"

const char *const placement_pod_labels[] = {"app", "tier", "hash", "apps.kubernetes.io/pod-index"};
const char *const placement_node_labels[] = {"zone", "kubernetes.io/hostname", "disk", "rank"};
const char *const placement_ns_labels[] = {"team"};
static const char *const op_names[] = {"In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"};

void placement_write_labels(struct buf *b, const char *const *names, const unsigned *labels, unsigned count)
{
    buf_puts(b, "{");
    for (unsigned i = 0, n = 0; i < count; i++) {
        if (labels[i] == 0) {
            continue;
        }
        bool number = names == placement_node_labels && i == L_RANK;
        buf_printf(b, "%s%s: '%s%u'", n++ > 0 ? ", " : "", names[i], number ? "" : "v", labels[i]);
    }
    buf_puts(b, "}");
}

static void write_requirements(struct buf *b, const char *const *names, const struct selector_model *s)
{
    buf_puts(b, "[");
    for (unsigned i = 0; i < s->count; i++) {
        const struct requirement *r = &s->r[i];
        buf_printf(b, "%s{key: %s, operator: %s", i > 0 ? ", " : "", names[r->key], op_names[r->op]);
        if (r->op == GREATER || r->op == LESS) {
            buf_printf(b, ", values: ['%u']", r->values);
        } else if (r->op == IN || r->op == NOT_IN) {
            buf_puts(b, ", values: [");
            for (unsigned v = 1, n = 0; v < 10; v++) {
                if (r->values >> v & 1) {
                    buf_printf(b, "%sv%u", n++ > 0 ? ", " : "", v);
                }
            }
            buf_puts(b, "]");
        }
        buf_puts(b, "}");
    }
    buf_puts(b, "]");
}

static void write_selector(struct buf *b, const char *field, const char *const *names, const struct selector_model *s)
{
    if (!s->present) {
        return;
    }
    buf_printf(b, ", %s: {", field);
    const struct requirement *r = &s->r[0];
    if (s->count == 1 && r->op == IN && __builtin_popcount(r->values) == 1) {
        buf_printf(b, "matchLabels: {%s: v%d}", names[r->key], __builtin_ctz(r->values));
    } else if (s->count > 0) {
        buf_puts(b, "matchExpressions: ");
        write_requirements(b, names, s);
    }
    buf_puts(b, "}");
}

static void write_keys(struct buf *b, const char *field, unsigned keys)
{
    if (keys != 0) {
        buf_printf(b, ", %s: [", field);
        for (unsigned k = 0, n = 0; k < POD_LABELS; k++) {
            if (keys >> k & 1) {
                buf_printf(b, "%s%s", n++ > 0 ? ", " : "", placement_pod_labels[k]);
            }
        }
        buf_puts(b, "]");
    }
}

static void write_term(struct buf *b, const struct term *t)
{
    buf_printf(b, "{topologyKey: %s", placement_node_labels[t->topology]);
    write_selector(b, "labelSelector", placement_pod_labels, &t->pods);
    write_selector(b, "namespaceSelector", placement_ns_labels, &t->of_namespaces);
    if (t->namespaces != 0) {
        buf_puts(b, ", namespaces: [");
        for (unsigned i = 0, n = 0; i < NAMESPACES; i++) {
            if (t->namespaces >> i & 1) {
                buf_printf(b, "%sns%u", n++ > 0 ? ", " : "", i);
            }
        }
        buf_puts(b, "]");
    }
    write_keys(b, "matchLabelKeys", t->match_keys);
    write_keys(b, "mismatchLabelKeys", t->mismatch_keys);
    buf_puts(b, "}");
}

static void write_terms(struct buf *b, const char *name, const struct term *hard, unsigned hard_count,
                        const struct term *soft, unsigned soft_count)
{
    buf_printf(b, ", %s: {requiredDuringSchedulingIgnoredDuringExecution: [", name);
    for (unsigned i = 0; i < hard_count; i++) {
        buf_puts(b, i > 0 ? ", " : "");
        write_term(b, &hard[i]);
    }
    buf_puts(b, "], preferredDuringSchedulingIgnoredDuringExecution: [");
    for (unsigned i = 0; i < soft_count; i++) {
        buf_printf(b, "%s{weight: %u, podAffinityTerm: ", i > 0 ? ", " : "", 1 + i * 70);
        write_term(b, &soft[i]);
        buf_puts(b, "}");
    }
    buf_puts(b, "]}");
}

static void write_affinity(struct buf *b, const struct template *t)
{
    buf_puts(b, ", affinity: {nodeAffinity: {");
    if (t->node_terms_count > 0) {
        buf_puts(b, "requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [");
        for (unsigned i = 0; i < t->node_terms_count; i++) {
            buf_printf(b, "%s{matchExpressions: ", i > 0 ? ", " : "");
            write_requirements(b, placement_node_labels, &t->node_terms[i]);
            if (i == 0 && t->field_not_node != 0) {
                buf_printf(b, ", matchFields: [{key: metadata.name, operator: NotIn, values: [n%u]}]",
                           t->field_not_node - 1);
            }
            buf_puts(b, "}");
        }
        buf_puts(b, "]}");
    }
    buf_puts(b, "}");
    write_terms(b, "podAffinity", t->near, t->near_count, t->like, t->like_count);
    write_terms(b, "podAntiAffinity", t->away, t->away_count, t->like + 1, t->like_count / 2);
    buf_puts(b, "}");
}

static void write_spread(struct buf *b, const struct template *t)
{
    buf_puts(b, ", topologySpreadConstraints: [");
    for (unsigned i = 0; i < t->spread_count; i++) {
        const struct spread *c = &t->spread[i];
        buf_printf(b, "%s{topologyKey: %s, maxSkew: %u, whenUnsatisfiable: %s", i > 0 ? ", " : "",
                   placement_node_labels[c->topology], c->max_skew, c->hard ? "DoNotSchedule" : "ScheduleAnyway");
        write_selector(b, "labelSelector", placement_pod_labels, &c->pods);
        if (c->min_domains > 0) {
            buf_printf(b, ", minDomains: %u", c->min_domains);
        }
        write_keys(b, "matchLabelKeys", c->match_keys);
        buf_puts(b, c->ignore_affinity ? ", nodeAffinityPolicy: Ignore" : "");
        buf_puts(b, c->honor_taints ? ", nodeTaintsPolicy: Honor}" : "}");
    }
    buf_puts(b, "]");
}

void placement_write_pod(struct buf *b, const struct model *m, unsigned i)
{
    const struct pod *p = &m->pods[i];
    const struct template *t = p->t;
    buf_printf(b, "apiVersion: v1\nkind: Pod\nmetadata: {name: p%u, namespace: ns%u, labels: ", i, t->ns);
    placement_write_labels(b, placement_pod_labels, p->labels, POD_LABELS);
    buf_printf(b, "}\nspec: {containers: [{name: c, image: i, resources: {requests: {cpu: %um", t->cpu * 100);
    buf_printf(b, t->gpu > 0 ? ", example.com/gpu: %u}, limits: {example.com/gpu: %u}}" : "}}", t->gpu, t->gpu);
    if (t->port != 0) {
        buf_printf(b, ", ports: [{containerPort: %u, hostPort: %u}]", t->port, t->port);
    }
    buf_puts(b, "}], tolerations: [");
    buf_puts(b, t->tolerates & 1 ? "{key: red, operator: Exists}" : "{key: other, operator: Exists}");
    buf_puts(b, t->tolerates & 2 ? ", {key: blue, operator: Equal, value: z, effect: NoExecute}" : "");
    buf_puts(b, t->tolerates & 4 ? ", {operator: Exists}]" : "]");
    if (t->selector_disk != 0) {
        buf_printf(b, ", nodeSelector: {disk: v%u}", t->selector_disk);
    }
    write_affinity(b, t);
    write_spread(b, t);
    if (t->priority > 0) {
        buf_printf(b, ", priority: %u", t->priority);
    }
    if (t->group != 0) {
        buf_printf(b, ", schedulingGroup: {podGroupName: g%u}", t->group - 1);
    }
    if (p->node >= 0) {
        buf_printf(b, ", nodeName: n%d", p->node);
    }
    buf_puts(b, "}\nstatus: {phase: Pending}\n");
}

void placement_write_node(struct buf *b, const struct node *n, unsigned i)
{
    static const char *const taints[] = {"", "{key: red, value: z, effect: NoSchedule}",
                                         "{key: blue, value: z, effect: NoExecute}",
                                         "{key: red, value: z, effect: PreferNoSchedule}"};
    buf_printf(b, "apiVersion: v1\nkind: Node\nmetadata: {name: n%u, labels: ", i);
    placement_write_labels(b, placement_node_labels, n->labels, NODE_LABELS);
    buf_printf(b, "}\nspec: {unschedulable: %s, taints: [%s]}\n", n->cordoned ? "true" : "false", taints[n->taint]);
    buf_printf(b, "status: {allocatable: {cpu: %um, memory: 8Gi, pods: '%u', example.com/gpu: '%u'}}\n", n->cpu * 100,
               n->pods, n->gpu);
}
