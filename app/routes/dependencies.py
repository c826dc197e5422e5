"""What routes ask for: a session on one snapshot, and the register as that snapshot has it."""

from collections.abc import AsyncGenerator
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import AsyncSession

from app.database import open_session
from app.permits.register import Register


async def give_session(request: Request) -> AsyncGenerator[AsyncSession]:
    """Open a session for one request; it ends before a byte of the answer is sent."""
    async with open_session(request.app.state.engine) as session:
        yield session


Session = Annotated[AsyncSession, Depends(give_session, scope="function")]


async def give_register(request: Request, session: Session) -> Register:
    """Give the register of the request's snapshot."""
    register: Register = await request.app.state.registers.find(session)
    return register


CurrentRegister = Annotated[Register, Depends(give_register, scope="function")]
