//! khien-playbooks
