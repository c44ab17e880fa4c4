// SPDX-License-Identifier: MIT OR Apache-2.0
//
// C++: classes, statics of functions, std::atomic and std::mutex: one program for the model each.
#include <atomic>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <pthread.h>

namespace {

struct Base {
  explicit Base(std::atomic<int> &deaths) : deaths(deaths) {}
  virtual int answer() const { return 1; }
  virtual ~Base() { deaths.fetch_add(answer()); }
  std::atomic<int> &deaths;
};

struct Derived : Base {
  using Base::Base;
  int answer() const override { return 2; }
  ~Derived() override { deaths.fetch_add(answer()); }
};

std::atomic<int> deaths;
std::mutex lock;
Base *object;

template <typename F> void beside(void *(*start)(void *), F meanwhile) {
  pthread_t thread;
  if (pthread_create(&thread, nullptr, start, nullptr) != 0) abort();
  meanwhile();
  pthread_join(thread, nullptr);
}

void *asks_locked(void *) {
  std::lock_guard<std::mutex> locked(lock);
  if (object != nullptr && object->answer() != 2) abort();
  return nullptr;
}

void *asks(void *) {
  if (object->answer() == 7) abort();
  return nullptr;
}

struct Counted {
  Counted() { made++; }
  ~Counted() {
    if (made != 1) abort();
  }
  static int made;
};
int Counted::made;

Counted &counted() {
  static Counted one;
  return one;
}

void *asks_for_it(void *) { return &counted(); }

struct Thrown {
  int which;
};

// Another thread may come while an exception is handled, and handle one of its own.
void throws(int which) {
  try {
    throw Thrown{which};
  } catch (const Thrown &caught) {
    {
      std::lock_guard<std::mutex> locked(lock);
    }
    try {
      throw;
    } catch (const Thrown &again) {
      if (&caught != &again || again.which != which) abort();
    }
  }
}

void *throws_one(void *) {
  throws(1);
  return nullptr;
}

struct Unfinished {
  Unfinished() { ask(this); }
  virtual int answer() = 0;
  static int ask(Unfinished *self) { return self->answer(); }
};

struct Finished : Unfinished {
  int answer() override { return 1; }
};

} // namespace

extern "C" {

// The destructor of the base sees a Base: the pointer to its functions changes while it dies.
void vptr() {
  object = new Derived(deaths);
  beside(asks_locked, [] {
    std::lock_guard<std::mutex> locked(lock);
    delete object;
    object = nullptr;
  });
  if (deaths != 3) abort();
}

// A call through that pointer while another thread destroys the object.
void vptr_race() {
  object = new Derived(deaths);
  beside(asks, [] { object->~Base(); });
}

// A static of a function is made once, by whoever comes first.
void static_of_a_function() {
  beside(asks_for_it, [] { counted(); });
  if (Counted::made != 1) abort();
}

void exceptions_at_once() {
  beside(throws_one, [] { throws(2); });
}

void pure_virtual_called() { Finished finished; }

void terminated() { std::terminate(); }

void array_delete_twice() {
  int *many = new int[4];
  delete[] many;
  delete[] many;
}
}
