"""The pages of the Django application: log in, who am I, and one that takes API tokens."""

from django.contrib.auth import authenticate, login
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path
from rest_framework.authentication import TokenAuthentication
from rest_framework.decorators import api_view, authentication_classes, permission_classes
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response


def log_in(request: HttpRequest) -> HttpResponse:
    user = authenticate(request, username=request.POST["username"], password=request.POST["password"])
    if user is None:
        return HttpResponse(status=403)
    login(request, user)
    return HttpResponse()


def me(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"who": request.user.get_username()})


@api_view(["GET"])
@authentication_classes([TokenAuthentication])
@permission_classes([IsAuthenticated])
def api(request: Request) -> Response:
    return Response({"who": request.user.get_username()})


urlpatterns = [path("login", log_in), path("me", me), path("api", api)]
