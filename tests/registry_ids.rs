//! Registry ids: exhaustion is an error value, and a reused id makes no old handle valid. Alone in its process, because
//! it uses up all ids.

use latecall::registry::{Reason, Registry, Shortage};

type Callbacks = Registry<dyn Fn() -> u64 + Send + Sync>;

const MOST: u32 = if cfg!(target_pointer_width = "64") { 4095 } else { 63 };

#[test]
fn ids_run_out_as_a_value_and_a_recycled_id_honours_no_old_handle() {
    let unused = Callbacks::new();
    assert!(unused.call(std::ptr::without_provenance_mut(1), |f| f()).is_err(), "needs no id");

    let mut registries = Vec::new();
    let mut handles = Vec::new();
    for n in 0..u64::from(MOST) {
        let registry = Callbacks::new();
        handles.push(registry.register(Box::new(move || n)).leak());
        registries.push(registry);
    }
    let one_too_many = Callbacks::new();
    let exhausted = one_too_many.try_register(Box::new(|| 7)).unwrap_err();
    assert_eq!(exhausted.shortage(), Shortage::RegistryIds);
    assert_eq!(exhausted.into_callback()(), 7);
    for (n, (registry, handle)) in registries.iter().zip(&handles).enumerate() {
        assert_eq!(registry.call(handle.as_ptr(), |f| f()).unwrap(), n as u64);
    }

    // Two ids are given back. The one that has been idle longest is used first.
    let (first, second) = (handles[10], handles[3]);
    drop(registries.remove(10));
    drop(registries.remove(3));
    let heir = one_too_many;
    let registration = heir.try_register(Box::new(|| 8)).unwrap();
    assert_eq!(registration.handle().registry_id(), first.registry_id());
    assert_eq!(registration.handle().index(), first.index());
    assert_ne!(registration.handle(), first, "the dead registry's generations are not issued again");
    assert_eq!(heir.call(first.as_ptr(), |f| f()).unwrap_err().reason(), Reason::WrongRegistry);
    assert_eq!(heir.call(second.as_ptr(), |f| f()).unwrap_err().reason(), Reason::WrongRegistry);
    assert_eq!(heir.call(registration.handle().as_ptr(), |f| f()).unwrap(), 8);
}
