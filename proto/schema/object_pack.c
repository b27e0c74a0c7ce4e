/* Packed objects: the pods of one template differ in a few hundred bytes each, and only these are kept for each.
 *
 * Both bodies are walked beside each other, item by item. What is equal is a piece of the base's body, what is not is
 * copied to the packed object's own bytes; where maps have other members or lists another length, the walk finds its
 * way back at the next member or element. So a packed body is a row of steps, three LEB128 numbers each:
 *
 *   pass over so many bytes of the base | take so many of it | take so many of its own
 *
 * with which the body comes out byte by byte as it was: hash, log entries, snapshots and the wire know nothing of it.
 * Steps never leave this process's memory, so nobody reads what a stranger wrote; each packed body is put together once
 * and compared before it is used.
 *
 * Name and uid are always among its own bytes, in one piece, since the header borrows them from there. Namespace and
 * owner are those of the base. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/refs.h"
#include "proto/schema/object.h"

#define GAIN_MIN 96u /* bytes that packing must save */
/* Pieces of a text that are shorter cost as much in steps as they save. */
#define PIECE_FIRST_MIN 4u
#define PIECE_LAST_MIN  5u
/* Items of the base that are passed over in search of a member: more is no template. */
#define SEARCH_MAX 4096u

/* ---- Items ---- */

struct item {
    size_t head, payload; /* bytes; payload: of texts and of binaries */
    uint64_t items;       /* that follow, in a list or a map */
    enum { ITEM_SCALAR, ITEM_TEXT, ITEM_LIST, ITEM_MAP } type;
};

static uint32_t big_endian(const uint8_t *p, unsigned n)
{
    uint32_t v = 0;
    for (unsigned i = 0; i < n; i++) {
        v = v << 8 | p[i];
    }
    return v;
}

/* Items with a first byte of 0xc0 .. 0xdf; those that mp_valid refuses do not come. */
static struct item wide_item(const uint8_t *p)
{
    static const uint8_t numbers[] = {[0x0a] = 5, 9, 2, 3, 5, 9, 2, 3, 5, 9}; /* float 32 and 64, uints, ints */
    unsigned kind = *p & 0x1fu;
    if (kind >= 0x0a && kind < 0x14) {
        return (struct item){.head = numbers[kind]};
    }
    if (kind >= 0x04 && kind < 0x07) { /* binary 8, 16, 32 */
        unsigned width = 1u << (kind - 0x04);
        return (struct item){.head = 1 + width, .payload = big_endian(p + 1, width), .type = ITEM_TEXT};
    }
    if (kind >= 0x19 && kind < 0x1c) { /* text 8, 16, 32 */
        unsigned width = 1u << (kind - 0x19);
        return (struct item){.head = 1 + width, .payload = big_endian(p + 1, width), .type = ITEM_TEXT};
    }
    if (kind >= 0x1c) { /* list 16, 32, map 16, 32 */
        unsigned width = 2u << (kind & 1), each = kind < 0x1e ? 1 : 2;
        return (struct item){.head = 1 + width,
                             .items = (uint64_t)each * big_endian(p + 1, width),
                             .type = kind < 0x1e ? ITEM_LIST : ITEM_MAP};
    }
    return (struct item){.head = 1}; /* nil, false, true */
}

static struct item item_at(const uint8_t *p)
{
    if (*p >= 0xc0 && *p < 0xe0) {
        return wide_item(p);
    }
    if (*p >= 0xa0 && *p < 0xc0) {
        return (struct item){.head = 1, .payload = *p & 0x1fu, .type = ITEM_TEXT};
    }
    if (*p >= 0x90 && *p < 0xa0) {
        return (struct item){.head = 1, .items = *p & 0x0fu, .type = ITEM_LIST};
    }
    if (*p >= 0x80 && *p < 0x90) {
        return (struct item){.head = 1, .items = 2 * (*p & 0x0fu), .type = ITEM_MAP};
    }
    return (struct item){.head = 1};
}

static bool item_holds(const struct item *i)
{
    return i->type == ITEM_LIST || i->type == ITEM_MAP;
}

/* ---- Steps ---- */

struct walk {
    const struct object *o, *base;
    struct object_packer *out;
    size_t from;                    /* of the base's body that the steps written so far have come to */
    size_t take_at, take, take_own; /* of the step that is being made */
    size_t name_at, uid_at;         /* among its own bytes */
    size_t own_max;                 /* more is not worth it */
    unsigned searched;
    bool failed;
};

static void number_write(struct buf *b, size_t v)
{
    uint8_t *p = buf_reserve(b, 10);
    unsigned n = 0;
    for (; v >= 0x80; v >>= 7) {
        p[n++] = (uint8_t)(v | 0x80);
    }
    p[n++] = (uint8_t)v;
    b->size += n;
}

static size_t number_read(const uint8_t **p)
{
    size_t v = 0;
    unsigned shift = 0;
    for (; **p >= 0x80; shift += 7) {
        v |= (size_t)(*(*p)++ & 0x7f) << shift;
    }
    return v | (size_t) * (*p)++ << shift;
}

static void step_end(struct walk *w)
{
    assert(w->take_at >= w->from);
    number_write(&w->out->steps, w->take_at - w->from);
    number_write(&w->out->steps, w->take);
    number_write(&w->out->steps, w->take_own);
    w->from = w->take_at + w->take;
    w->take_at = w->from;
    w->take = w->take_own = 0;
}

/* Bytes of the base's body, behind all that were taken before. */
static void take_base(struct walk *w, const uint8_t *p, size_t n)
{
    size_t at = (size_t)(p - w->base->bytes);
    assert(at >= w->take_at + w->take && at + n <= w->base->body_size);
    if (n == 0) {
        return;
    }
    if (w->take_own > 0 || (w->take > 0 && at != w->take_at + w->take)) {
        step_end(w);
    }
    if (w->take == 0) {
        w->take_at = at;
    }
    w->take += n;
}

static bool begins_in(const char *text, const uint8_t *p, size_t n)
{
    return text != NULL && (const uint8_t *)text >= p && (const uint8_t *)text < p + n;
}

static void take_own(struct walk *w, const uint8_t *p, size_t n)
{
    struct buf *own = &w->out->own;
    if (begins_in(w->o->name.p, p, n)) {
        w->name_at = own->size + (size_t)((const uint8_t *)w->o->name.p - p);
    }
    if (begins_in(w->o->uid.p, p, n)) {
        w->uid_at = own->size + (size_t)((const uint8_t *)w->o->uid.p - p);
    }
    buf_append(own, p, n);
    w->take_own += n;
    w->failed |= own->size + w->out->steps.size > w->own_max;
}

/* ---- The walk ---- */

/* Behind the value at p; counts what it passes over if it is asked to. */
static const uint8_t *behind(const uint8_t *p, unsigned *count)
{
    for (uint64_t left = 1; left > 0; left--) {
        struct item i = item_at(p);
        left += i.items;
        p += i.head + i.payload;
        *count += 1;
    }
    return p;
}

static void take_own_value(struct walk *w, const uint8_t **o)
{
    unsigned passed = 0;
    const uint8_t *end = behind(*o, &passed);
    take_own(w, *o, (size_t)(end - *o));
    *o = end;
}

static size_t common_first(const uint8_t *a, const uint8_t *b, size_t max)
{
    size_t n = 0;
    while (n < max && a[n] == b[n]) {
        n++;
    }
    return n;
}

static size_t common_last(const uint8_t *a_end, const uint8_t *b_end, size_t max)
{
    size_t n = 0;
    while (n < max && a_end[-1 - (ptrdiff_t)n] == b_end[-1 - (ptrdiff_t)n]) {
        n++;
    }
    return n;
}

/* Two texts that differ: what they begin and end with is the base's where that pays. */
static void walk_texts(struct walk *w, const uint8_t *o, struct item x, const uint8_t *b, struct item y)
{
    size_t max = x.payload < y.payload ? x.payload : y.payload;
    const uint8_t *text = o + x.head, *base = b + y.head, *end = text + x.payload, *base_end = base + y.payload;
    if (x.head == y.head && memcmp(o, b, x.head) == 0) {
        take_base(w, b, x.head);
    } else {
        take_own(w, o, x.head);
    }
    size_t first = common_first(text, base, max);
    first = first >= PIECE_FIRST_MIN ? first : 0;
    size_t last = common_last(end, base_end, max - first);
    last = last >= PIECE_LAST_MIN ? last : 0;
    take_base(w, base, first);
    take_own(w, text + first, x.payload - first - last);
    take_base(w, base_end - last, last);
}

static void walk_scalars(struct walk *w, const uint8_t *o, struct item x, const uint8_t *b, struct item y)
{
    const char *payload = (const char *)o + x.head;
    size_t n = x.head + x.payload;
    if (payload == w->o->name.p || payload == w->o->uid.p) {
        take_own(w, o, n);
    } else if (n == y.head + y.payload && memcmp(o, b, n) == 0) {
        take_base(w, b, n);
    } else if (x.type == ITEM_TEXT && y.type == ITEM_TEXT) {
        walk_texts(w, o, x, b, y);
    } else {
        take_own(w, o, n);
    }
}

static void walk_value(struct walk *w, const uint8_t **o, const uint8_t **b);

/* Maps of other sizes: members with the same key are walked, those that the base does not have are its own. */
static void walk_maps(struct walk *w, const uint8_t **o, struct item x, const uint8_t **b, struct item y)
{
    take_own(w, *o, x.head);
    *o += x.head;
    *b += y.head;
    uint64_t base_left = y.items / 2;
    for (uint64_t left = x.items / 2; left > 0 && !w->failed; left--) {
        struct item key = item_at(*o);
        size_t key_size = key.head + key.payload;
        const uint8_t *at = *b;
        uint64_t at_left = base_left;
        while (at_left > 0 && w->searched < SEARCH_MAX) {
            struct item base_key = item_at(at);
            if (base_key.head + base_key.payload == key_size && memcmp(at, *o, key_size) == 0) {
                break;
            }
            at = behind(at + base_key.head + base_key.payload, &w->searched);
            at_left--;
        }
        w->failed |= w->searched >= SEARCH_MAX;
        if (at_left > 0) {
            take_base(w, at, key_size);
            *o += key_size;
            *b = at + key_size;
            walk_value(w, o, b);
            base_left = at_left - 1;
        } else {
            take_own(w, *o, key_size);
            *o += key_size;
            take_own_value(w, o);
        }
    }
    unsigned passed = 0;
    for (; base_left > 0 && !w->failed; base_left--) {
        *b = behind(behind(*b, &passed), &passed);
    }
}

static void walk_lists(struct walk *w, const uint8_t **o, struct item x, const uint8_t **b, struct item y)
{
    take_own(w, *o, x.head);
    *o += x.head;
    *b += y.head;
    uint64_t i = 0;
    for (; i < x.items && i < y.items && !w->failed; i++) {
        walk_value(w, o, b);
    }
    for (uint64_t n = i; n < x.items && !w->failed; n++) {
        take_own_value(w, o);
    }
    unsigned passed = 0;
    for (uint64_t n = i; n < y.items && !w->failed; n++) {
        *b = behind(*b, &passed);
    }
}

/* One value of each, whatever is in it. Where heads are equal there is no recursion; elsewhere it is as deep as
 * documents are (VALUE_DEPTH_MAX). */
static void walk_value(struct walk *w, const uint8_t **o, const uint8_t **b)
{
    for (uint64_t left = 1; left > 0 && !w->failed; left--) {
        struct item x = item_at(*o), y = item_at(*b);
        if (!item_holds(&x) && !item_holds(&y)) {
            walk_scalars(w, *o, x, *b, y);
            *o += x.head + x.payload;
            *b += y.head + y.payload;
        } else if (x.type == y.type && x.items == y.items && x.head == y.head) {
            take_base(w, *b, x.head);
            *o += x.head;
            *b += y.head;
            left += x.items;
        } else if (x.type == ITEM_MAP && y.type == ITEM_MAP) {
            walk_maps(w, o, x, b, y);
        } else if (x.type == ITEM_LIST && y.type == ITEM_LIST) {
            walk_lists(w, o, x, b, y);
        } else {
            unsigned passed = 0;
            take_own_value(w, o);
            *b = behind(*b, &passed);
        }
    }
}

/* ---- Putting together ---- */

static void put_together(const struct object *o, uint8_t *to)
{
    const struct object_packed *p = (const struct object_packed *)o->bytes;
    const uint8_t *step = (const uint8_t *)(p + 1), *steps_end = step + p->steps_size, *own = steps_end;
    const uint8_t *base = p->base->bytes;
    size_t at = 0;
    assert(o->packed && !p->base->packed);
    while (step < steps_end) {
        base += number_read(&step);
        size_t n = number_read(&step), n_own = number_read(&step);
        assert(n + n_own <= o->body_size - at);
        memcpy(to + at, base, n);
        memcpy(to + at + n, own, n_own);
        base += n;
        own += n_own;
        at += n + n_own;
    }
    assert(at == o->body_size && own == steps_end + p->own_size && base <= p->base->bytes + p->base->body_size);
}

const uint8_t *object_put_together(const struct object *o)
{
    struct object *mine = (struct object *)o; /* what is read of it stays the same */
    const uint8_t *nothing = NULL;
    uint8_t *body = xmalloc(o->body_size);
    put_together(o, body);
    if (__atomic_compare_exchange_n(&mine->body_there, &nothing, body, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
        return body;
    }
    free(body); /* another thread was first */
    return nothing;
}

void object_append_body(struct buf *out, const struct object *o)
{
    const uint8_t *body = __atomic_load_n(&o->body_there, __ATOMIC_ACQUIRE);
    if (body != NULL) {
        buf_append(out, body, o->body_size);
        return;
    }
    put_together(o, buf_reserve(out, o->body_size));
    out->size += o->body_size;
}

/* ---- Packing ---- */

void object_packer_close(struct object_packer *p)
{
    buf_close(&p->steps);
    buf_close(&p->own);
    buf_close(&p->body);
}

static bool may_be_base(const struct object *o, const struct object *base)
{
    return !o->packed && !base->packed && o != base && o->kind == base->kind && !o->kind->secret &&
           o->body_size > GAIN_MIN && o->body_size / 2 <= base->body_size && str_eq(o->ns, base->ns) &&
           str_eq(o->owner_uid, base->owner_uid);
}

/* What a packed object is made of. */
struct parts {
    const struct object *o; /* the same one in another form */
    struct object *base;
    const uint8_t *steps, *own;
    size_t steps_size, own_size, name_at, uid_at;
    bool labels_of_base;
};

static struct object *packed_new(const struct parts *w)
{
    const struct object *o = w->o;
    struct object *c = xmalloc(sizeof *c + sizeof(struct object_packed) + w->steps_size + w->own_size);
    struct object_packed *p = (struct object_packed *)c->bytes;
    uint8_t *steps = (uint8_t *)(p + 1), *own = steps + w->steps_size;
    *p = (struct object_packed){object_ref(w->base), (uint32_t)w->steps_size, (uint32_t)w->own_size};
    memcpy(steps, w->steps, w->steps_size);
    memcpy(own, w->own, w->own_size);
    /* One by one: what counts and what is noted in o moves while others read it. */
    *c = (struct object){
        .refs = 1,
        .body_size = o->body_size,
        .packed = true,
        .deleting = o->deleting,
        .kind = o->kind,
        .ns = w->base->ns,
        .name = {(const char *)own + w->name_at, o->name.n},
        .uid = o->uid.p == NULL ? o->uid : (struct str){(const char *)own + w->uid_at, o->uid.n},
        .revision = o->revision,
        .generation = o->generation,
        .owner_uid = w->base->owner_uid,
        .hash = o->hash,
        .labels_at = o->labels_at,
        .labels_size = o->labels_size,
        .spec_at = o->spec_at,
        .owner_kind = o->owner_kind,
        .restless = __atomic_load_n(&o->restless, __ATOMIC_RELAXED),
        .owned_otherwise = o->owned_otherwise,
        .spec_size = o->spec_size,
        .status_at = o->status_at,
        .status_size = o->status_size,
        .labels_of_base = w->labels_of_base,
    };
    c->memo = __atomic_load_n(&o->memo, __ATOMIC_ACQUIRE);
    c->memo_ms = __atomic_load_n(&o->memo_ms, __ATOMIC_RELAXED);
    return c;
}

static bool same_labels(const struct object *a, const struct object *b)
{
    return a->labels_size > 0 && a->labels_size == b->labels_size &&
           memcmp(a->bytes + a->labels_at, b->bytes + b->labels_at, a->labels_size) == 0;
}

struct object *object_pack_again(const struct object *o)
{
    const struct object_packed *p = (const struct object_packed *)o->bytes;
    const uint8_t *steps = (const uint8_t *)(p + 1), *own = steps + p->steps_size;
    assert(o->packed);
    const struct parts parts = {.o = o,
                                .base = p->base,
                                .steps = steps,
                                .own = own,
                                .steps_size = p->steps_size,
                                .own_size = p->own_size,
                                .name_at = (size_t)((const uint8_t *)o->name.p - own),
                                .uid_at = o->uid.p == NULL ? 0 : (size_t)((const uint8_t *)o->uid.p - own),
                                .labels_of_base = o->labels_of_base};
    return packed_new(&parts);
}

/* It is the same, or something is wrong in here: asked in every build, since what would be wrong is the state. */
static void check_packed(const struct object *c, const struct object *o, struct buf *scratch)
{
    buf_reset(scratch);
    object_append_body(scratch, c);
    bool same = scratch->size == o->body_size && memcmp(scratch->data, o->bytes, o->body_size) == 0 &&
                str_eq(c->name, o->name) && str_eq(c->uid, o->uid);
    assert(same);
    (void)same;
}

struct object *object_pack(const struct object *o, const struct object *base, struct object_packer *scratch)
{
    if (!may_be_base(o, base)) {
        return NULL;
    }
    size_t most = MIN(o->body_size / 2, o->body_size - GAIN_MIN);
    struct walk w = {.o = o, .base = base, .out = scratch, .own_max = most};
    const uint8_t *at = o->bytes, *base_at = base->bytes;
    buf_reset(&scratch->steps);
    buf_reset(&scratch->own);
    walk_value(&w, &at, &base_at);
    if (w.failed) {
        return NULL;
    }
    step_end(&w);
    assert(at == o->bytes + o->body_size && base_at <= base->bytes + base->body_size);
    if (sizeof(struct object_packed) + scratch->steps.size + scratch->own.size > most) {
        return NULL;
    }
    const struct parts parts = {.o = o,
                                .base = (struct object *)base,
                                .steps = scratch->steps.data,
                                .own = scratch->own.data,
                                .steps_size = scratch->steps.size,
                                .own_size = scratch->own.size,
                                .name_at = w.name_at,
                                .uid_at = w.uid_at,
                                .labels_of_base = same_labels(o, base)};
    struct object *c = packed_new(&parts);
    check_packed(c, o, &scratch->body);
    return c;
}

struct object *object_base(const struct object *o)
{
    assert(o->packed);
    return ((const struct object_packed *)o->bytes)->base;
}

bool object_base_is_its_own(const struct object *o)
{
    return refs_is_only(&object_base(o)->refs);
}

size_t object_kept_bytes(const struct object *o)
{
    if (!o->packed) {
        return sizeof *o + o->body_size;
    }
    const struct object_packed *p = (const struct object_packed *)o->bytes;
    bool there = __atomic_load_n(&o->body_there, __ATOMIC_RELAXED) != NULL;
    return sizeof *o + sizeof *p + p->steps_size + p->own_size + (there ? o->body_size : 0);
}
