#include "raft-store/raft/raft_heap.h"

#include <assert.h>
#include <malloc.h>
#include <raft.h>
#include <stdlib.h>

#ifdef __SANITIZE_ADDRESS__
#define WAITING_ON false
#else
#define WAITING_ON true
#endif

struct waiting {
    struct waiting *next;
    size_t size_bytes;
};
static _Thread_local struct {
    bool drains; /* this thread calls raft_heap_drain */
    struct waiting *first;
    size_t size_bytes;
} heap;

static void *heap_malloc(void *data, size_t size)
{
    (void)data;
    return malloc(size);
}

static void heap_free(void *data, void *p)
{
    (void)data;
    size_t size = p != NULL && WAITING_ON && heap.drains ? malloc_usable_size(p) : 0;
    if (size < RAFT_HEAP_LARGE) {
        free(p);
        return;
    }
    struct waiting *w = p;
    *w = (struct waiting){heap.first, size};
    heap.first = w;
    heap.size_bytes += size;
    assert(heap.size_bytes >= size);
}

static void *heap_calloc(void *data, size_t count, size_t size)
{
    (void)data;
    return calloc(count, size);
}

static void *heap_realloc(void *data, void *p, size_t size)
{
    (void)data;
    return realloc(p, size);
}

static void *heap_aligned_alloc(void *data, size_t alignment, size_t size)
{
    (void)data;
    return aligned_alloc(alignment, size);
}

static void heap_aligned_free(void *data, size_t alignment, void *p)
{
    (void)alignment;
    heap_free(data, p);
}

/* Never changed behind its definition, but libraft's prototype has no const. */
static struct raft_heap methods = {
    .malloc = heap_malloc,
    .free = heap_free,
    .calloc = heap_calloc,
    .realloc = heap_realloc,
    .aligned_alloc = heap_aligned_alloc,
    .aligned_free = heap_aligned_free,
};

void raft_heap_install(void)
{
    heap.drains = true;
    if (raft_heap_get() != &methods) {
        raft_heap_set(&methods);
    }
}

bool raft_heap_drain(size_t bytes_max)
{
    for (size_t done = 0; heap.first != NULL && done < bytes_max;) {
        struct waiting *w = heap.first;
        assert(w->size_bytes >= RAFT_HEAP_LARGE && w->size_bytes <= heap.size_bytes);
        heap.first = w->next;
        heap.size_bytes -= w->size_bytes;
        done += w->size_bytes;
        free(w);
    }
    assert((heap.first == NULL) == (heap.size_bytes == 0));
    return heap.first != NULL;
}

size_t raft_heap_waiting(void)
{
    return heap.size_bytes;
}
