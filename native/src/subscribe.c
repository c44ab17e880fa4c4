/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * What is retained: subscribing, replacing, unsubscribing, and the last use of a pair's user_data.
 */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

struct subscription *emi_after(const emitter *e, emitter_id id) {
  size_t low = 0, high = e->count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (e->subscriptions[middle].id > id)
      high = middle;
    else
      low = middle + 1;
  }
  return low < e->count ? &e->subscriptions[low] : NULL;
}

struct subscription *emi_find(const emitter *e, emitter_id id) {
  struct subscription *s = id == 0 ? NULL : emi_after(e, id - 1);
  return s != NULL && s->id == id ? s : NULL;
}

emitter_status emi_make_room(emitter *e, size_t count) {
  if (count <= e->room - e->count) return EMITTER_OK;
  size_t most = SIZE_MAX / 2 / sizeof *e->subscriptions;
  if (count > most - e->count) return EMITTER_NO_MEMORY;
  size_t room = e->room == 0 ? 4 : e->room;
  while (room - e->count < count) room *= 2;
  struct subscription *larger = emi_allocate(e, room * sizeof *larger);
  if (larger == NULL) return EMITTER_NO_MEMORY;
  if (e->count > 0) memcpy(larger, e->subscriptions, e->count * sizeof *larger);
  free(e->subscriptions);
  e->subscriptions = larger;
  e->room = room;
  return EMITTER_OK;
}

struct pair *emi_new_pair(emitter *e, const emitter_entry *entry) {
  struct pair *pair = emi_allocate(e, sizeof *pair);
  if (pair == NULL) return NULL;
  pair->callback = entry->callback;
  pair->user_data = entry->user_data;
  pair->destroy = entry->destroy;
  return pair;
}

struct subscription *emi_add(emitter *e, struct pair *pair, bool live) {
  struct subscription *s = &e->subscriptions[e->count++];
  s->id = pair->subscription = ++e->last_id;
  s->pair = pair;
  s->live = live;
  if (!live) {
    pair->notified = true; /* an enumeration has no destroy notify */
    return s;
  }
  e->live++;
  pair->uses = 1;
  /* RETURNS: nothing may tell when the last call has returned, so the destroy notify waits for emitter_close, which
   * gives the second use back. */
  if (e->config.mode == EMITTER_MODE_RETURNS && pair->destroy != NULL) pair->uses = 2;
  return s;
}

struct pair *emi_retire(emitter *e, struct subscription *s) {
  s->live = false;
  e->live--;
  return s->pair;
}

static void forget(emitter *e, struct pair *pair) {
  if (!pair->replaced) {
    if (emi_hostile(e, EMI_KEEPS_DEAD)) return;
    struct subscription *s = emi_find(e, pair->subscription);
    e->count--;
    for (struct subscription *last = &e->subscriptions[e->count]; s != last; s++) *s = s[1];
  }
  free(pair);
}

struct parting emi_take_notify(struct pair *pair) {
  struct parting parting = {.destroy = pair->notified ? NULL : pair->destroy,
                            .user_data = pair->user_data,
                            .subscription = pair->subscription};
  pair->notified = true;
  return parting;
}

struct parting emi_drop(emitter *e, struct pair *pair) {
  struct parting parting = {.destroy = NULL};
  if (pair == NULL || --pair->uses > 0) return parting;
  if (pair->pending == 0 || emi_hostile(e, EMITTER_HOSTILE_NOTIFY_BEFORE_DRAIN)) parting = emi_take_notify(pair);
  if (pair->pending == 0) forget(e, pair);
  return parting;
}

void emi_part(struct frame *here, const struct parting *parting) {
  emitter *e = here->emitter;
  if (parting->destroy == NULL || emi_hostile(e, EMITTER_HOSTILE_NOTIFY_NEVER)) return;
  for (int left = emi_hostile(e, EMITTER_HOSTILE_NOTIFY_TWICE) ? 2 : 1; left > 0; left--) {
    emi_stall(here, EMITTER_STALL_BEFORE_NOTIFY, parting->subscription);
    UNLOCKED(e);
    parting->destroy(parting->user_data);
  }
}

/* Adds all entries or none. All pairs are made before the first is added, so that no addition has to be undone. */
static emitter_status subscribe(emitter *e, const emitter_entry *table, size_t count, emitter_id *out) {
  if (e->closing) return EMITTER_CLOSING;
  if (e->config.capacity != 0 && count > e->config.capacity - e->live) return EMITTER_FULL;
  emitter_status status = emi_make_room(e, count);
  if (status != EMITTER_OK) return status;
  for (size_t made = 0; made < count; made++) {
    /* The unused part of the array holds the new pairs until all of them are made. */
    struct pair *pair = emi_new_pair(e, &table[made]);
    if (pair == NULL) {
      while (made > 0) free(e->subscriptions[e->count + --made].pair);
      return EMITTER_NO_MEMORY;
    }
    e->subscriptions[e->count + made].pair = pair;
  }
  for (size_t added = 0; added < count; added++) out[added] = emi_add(e, e->subscriptions[e->count].pair, true)->id;
  return EMITTER_OK;
}

/* Needs no frame, because it neither runs foreign code nor waits. */
static emitter_status subscribe_locked(emitter *e, const emitter_entry *table, size_t count, emitter_id *out) {
  for (size_t i = 0; i < count; i++) out[i] = 0;
  for (size_t i = 0; i < count; i++)
    if (table[i].callback == NULL) return EMITTER_BAD_ARGUMENT;
  pthread_mutex_lock(&e->lock);
  emitter_status status = subscribe(e, table, count, out);
  pthread_mutex_unlock(&e->lock);
  return status;
}

emitter_status emitter_subscribe(emitter *e, emitter_callback callback, void *user_data, emitter_destroy destroy,
                                 emitter_id *out) {
  if (out != NULL) *out = 0;
  if (e == NULL || callback == NULL || out == NULL) return EMITTER_BAD_ARGUMENT;
  if (e->config.mode == EMITTER_MODE_SCOPED) return EMITTER_WRONG_MODE;
  emitter_entry entry = {callback, user_data, destroy};
  return subscribe_locked(e, &entry, 1, out);
}

emitter_status emitter_subscribe_table(emitter *e, const emitter_entry *table, size_t count, emitter_id *out) {
  if (e == NULL || table == NULL || out == NULL) return EMITTER_BAD_ARGUMENT;
  if (e->config.mode != EMITTER_MODE_TABLE) return EMITTER_WRONG_MODE;
  return subscribe_locked(e, table, count, out);
}

emitter_status emitter_replace(emitter *e, emitter_id id, emitter_callback callback, void *user_data,
                               emitter_destroy destroy) {
  if (e == NULL || callback == NULL) return EMITTER_BAD_ARGUMENT;
  if (e->config.mode != EMITTER_MODE_REPLACE) return EMITTER_WRONG_MODE;
  FRAME(here);
  emi_enter(&here, e);
  if (e->closing) return EMITTER_CLOSING;
  struct subscription *s = emi_find(e, id);
  if (s == NULL || !s->live) return EMITTER_NOT_FOUND;
  emitter_entry entry = {callback, user_data, destroy};
  struct pair *pair = emi_new_pair(e, &entry);
  if (pair == NULL) return EMITTER_NO_MEMORY;
  pair->subscription = id;
  pair->uses = 1;
  struct pair *old = s->pair;
  s->pair = pair;
  old->replaced = true;
  emi_hold(&here, old);
  emi_release(&here);
  return EMITTER_OK;
}

static emitter_status unsubscribe(emitter *e, emitter_id id, bool waits) {
  if (e == NULL) return EMITTER_BAD_ARGUMENT;
  FRAME(here);
  emi_enter(&here, e);
  struct subscription *s = emi_find(e, id);
  if (s == NULL || !s->live) {
    /* It was unsubscribed before. Its calls may still be in flight, and this call, too, must return after them. */
    if (waits && id != 0) {
      emi_excuse(&here, id);
      emi_wait_quiet(&here, id);
    }
    return EMITTER_NOT_FOUND;
  }
  /* Takes over the subscription's use until this returns, so that no other thread runs the destroy notify meanwhile. */
  emi_hold(&here, emi_retire(e, s));
  if (waits) emi_excuse(&here, id);
  emi_stall(&here, EMITTER_STALL_UNSUBSCRIBED, id);
  if (emi_hostile(e, EMITTER_HOSTILE_NOTIFY_EARLY)) {
    struct parting early = emi_take_notify(here.pair);
    emi_part(&here, &early);
  }
  if (waits) emi_wait_quiet(&here, id);
  emitter_status status = emi_in_flight(e, id) ? EMITTER_IN_FLIGHT : EMITTER_OK;
  emi_release(&here);
  return status;
}

emitter_status emitter_unsubscribe(emitter *e, emitter_id id) {
  bool waits = e != NULL && (e->config.mode == EMITTER_MODE_WAITS || e->config.mode == EMITTER_MODE_TABLE);
  return unsubscribe(e, id, waits);
}

emitter_status emitter_unsubscribe_nowait(emitter *e, emitter_id id) { return unsubscribe(e, id, false); }

size_t emitter_live(emitter *e) {
  if (e == NULL) return 0;
  pthread_mutex_lock(&e->lock);
  size_t live = e->live;
  pthread_mutex_unlock(&e->lock);
  return live;
}
